"""The page of a run: what it asks is what it answers, with a study and without one."""

import json
from pathlib import Path
from typing import Any

import pytest

from sftcore.ablation.verdict import NO_VERDICT
from sftcore.foundations.errors import DataError
from sftcore.pipeline.report import write_page
from sftcore.pipeline.summary import summarize
from sftcore.reporting.parts import Part, write_parts
from tests.training.test_loop import small

VERDICT = NO_VERDICT | {
    "worth": "Fine-tuning is worth it.",
    "overfitting": "No over-fitting seen.",
    "helped": "No help seen.",
    "more_data": "More data helps.",
    "stable": "All rates are safe.",
}


def write(path: str, content: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stages before this one leave, as far as the top of the page needs it."""
    monkeypatch.chdir(tmp_path)
    write("data/prepared/summary.json", {"num_pictures": 9, "num_classes": 3,
                                         "splits": {"train": 4, "val": 3, "test": 2}})  # fmt: skip
    write("models/finetuned/model.json", {"backbone": "timm/<net>", "model_sha256": "abc"})
    interval = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "num_pictures": 2}
    worth = {"test_accuracy": 0.125, "test_accuracy_low": -0.25, "test_accuracy_high": 0.5}
    write("reports/evaluate/metrics.json", {"test": interval, "worth": worth})
    Path("reports/evaluate/baselines.png").write_bytes(b"png")
    Path("reports/evaluate/baselines.csv").write_text("row\n")
    write_parts(Path("reports/evaluate"), [Part("Test")])
    study(VERDICT)


def study(verdict: dict[str, Any]) -> None:
    write("reports/ablation/verdict.json", verdict)
    write_parts(Path("reports/ablation"), [Part("Study")])


def page() -> str:
    params = small()
    off = params.tracking.model_copy(update={"enabled": False})
    write_page(params.model_copy(update={"tracking": off}))
    return Path("reports/report.html").read_text()


@pytest.mark.usefixtures("finished")
def test_with_a_study_it_asks_what_the_study_answers() -> None:
    text = page()
    assert "Is it worth fine-tuning timm/&lt;net&gt;" in text
    assert "Trained on 4, chosen on 3 and tested on 2 pictures." in text
    for sentence in ("Test accuracy 0.500 [0.250, 0.750], 2 pictures.", "Fine-tuning is worth it.",
                     "More data helps.", "All rates are safe."):  # fmt: skip
        assert f"<li>{sentence}</li>" in text


@pytest.mark.usefixtures("finished")
def test_without_one_it_asks_and_answers_of_the_test_split_alone() -> None:
    study(NO_VERDICT)
    text = page()
    assert "How well does timm/&lt;net&gt;, fine-tuned on these pictures, do" in text
    assert "Is it worth" not in text
    beside = "Over logistic regression on its features, on test: accuracy +0.125 [-0.250, +0.500]."
    assert summarize()[1:] == [beside]
    assert beside in text


@pytest.mark.usefixtures("finished")
def test_a_failure_and_advice_come_before_what_is_less_urgent() -> None:
    study(VERDICT | {"failures": "Failed: l1.", "advice": "Advice: less.", "settings": {"a": 1}})
    lines = summarize()
    assert len(lines) == 6
    assert lines[4:] == ["Advice: less.", "Failed: l1."]


@pytest.mark.usefixtures("finished")
def test_what_has_not_been_run_is_named() -> None:
    Path("reports/ablation/verdict.json").unlink()
    with pytest.raises(DataError, match=r"verdict\.json is not there"):
        page()
