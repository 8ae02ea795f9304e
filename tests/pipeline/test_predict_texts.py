"""The command ``predict`` with a model of texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sftcore.evaluation.predict import load_model, look_at
from sftcore.pipeline import predict as predicting
from sftcore.pipeline.predict import PredictOptions, predict
from sftcore.tasks.names import CLASSES_OF_TEXTS
from sftcore.use.contract import ToJudge
from sftcore.use.decision import save_decision
from sftcore.use.reading import ReadingOptions
from sftcore.use.rules import Wanted
from sftcore.use.texts import TextReading
from sftcore.use.usages import USAGES
from tests.import_closure import ROOT
from tests.models.text.finished import NAMES, sentence, write_text_model
from tests.pipeline.project import run_program
from tests.pipeline.test_predict import COMMAND, NO_GPU

COUNT = 150
TEXTS = [sentence(row) for row in range(COUNT)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its rules, a table and a folder of the same texts."""
    root = tmp_path_factory.mktemp("texts")
    model = load_model(write_text_model(root))
    seen = look_at(model.network, TEXTS, model.sight)
    splits = {"train": np.arange(50), "val": np.arange(50, 100), "test": np.arange(100, 150)}
    judged = ToJudge(seen.features, seen.answers, np.arange(COUNT) % 3,
                     np.arange(COUNT).astype(str), splits)  # fmt: skip
    fixed = USAGES[CLASSES_OF_TEXTS](NAMES).fix(
        judged, Wanted(0.9, 0.5, 0.9, 0.95), model_sha256=model.record.model_sha256, device="cpu"
    )
    save_decision(root / "models" / "decision", fixed.decision, fixed.directions)
    pd.DataFrame({"text": TEXTS, "other": "x"}).to_csv(root / "t.csv", index=False)
    (root / "files").mkdir()
    for row, text in enumerate(TEXTS):
        (root / "files" / f"{row:03d}.txt").write_text(text + "\n")
    return root


@pytest.fixture(autouse=True)
def _here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def run(*inputs: str, out: str = "out.csv", **options: Any) -> list[str]:
    return list(predict(PredictOptions(inputs, Path(out), device="cpu", **options)))


def answers(out: str = "out.csv") -> np.ndarray:
    table = pd.read_csv(out)
    return table[["p_0", "p_1", "p_2"]].to_numpy(dtype=np.float32)


def test_answers_are_the_models_bits_wherever_a_text_stands() -> None:
    model = load_model(Path("models/finetuned"))
    expected = look_at(model.network, TEXTS, model.sight).answers
    assert len(np.unique(expected.argmax(axis=1))) == 3
    lines = run("t.csv", "files", with_probabilities=True)
    np.testing.assert_array_equal(answers(), np.concatenate([expected, expected]))
    table = pd.read_csv("out.csv")
    assert table["file"].tolist() == [
        *(f"t.csv/{row:06d}" for row in range(COUNT)),
        *(f"files/{row:03d}.txt" for row in range(COUNT)),
    ]
    assert set(table["label"]) == {"'=harbour", "kitchen", "日本"}
    assert {"labels", "abstain", "distance", "unlike", "probability"} <= set(table.columns)
    assert lines[0] == "wrote out.csv: 300 texts, 0 without an answer (column reason)"
    assert "farther from the training texts than 90% of validation" in lines[-1]
    assert not any("picture" in line for line in lines)
    run("files/017.txt", out="one.csv", with_probabilities=True)
    np.testing.assert_array_equal(answers("one.csv")[0], expected[17])


def test_an_ended_run_goes_on_and_ends_with_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    run("t.csv", "files", out="whole.csv")
    monkeypatch.setattr(TextReading, "group", 40)
    calls = []

    def ends(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look_at(*given)

    monkeypatch.setattr(predicting, "look_at", ends)
    with pytest.raises(KeyboardInterrupt):
        run("t.csv", "files", out="part.csv")
    assert not Path("part.csv").exists()
    assert run("t.csv", "files", out="part.csv")[0] == "goes on after 80 rows of an earlier run"
    assert Path("part.csv").read_bytes() == Path("whole.csv").read_bytes()
    for changed in ({"column": "other"}, {"max_characters": 9}):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            run("t.csv", "files", out="part.csv")
        lines = run("t.csv", out="part.csv", reading=ReadingOptions(**changed))  # type: ignore[arg-type]
        assert lines[0].startswith("wrote part.csv: 150 texts"), "rows of other texts are not kept"


def test_what_has_no_answer_is_a_row_with_its_reason(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"=a.txt": b"cat", "b.txt": b"", "c.txt": b"dog", "d.txt": b"cat"}.items():
        Path(name).write_bytes(content)
    Path("t.csv").write_text('text,n\ncat,1\n"=1\n+2",2\n,3\n')
    monkeypatch.setattr(TextReading, "group", 1)

    def loses(*given: Any) -> Any:
        Path("d.txt").unlink(missing_ok=True)
        return look_at(*given)

    monkeypatch.setattr(predicting, "look_at", loses)
    lines = run(".", model=root / "models" / "finetuned")
    assert lines[0] == "wrote out.csv: 7 texts, 3 without an answer (column reason)"
    table = pd.read_csv("out.csv", dtype=str, na_filter=False)
    reason = dict(zip(table["file"], table["reason"], strict=True))
    assert reason.pop("./b.txt") == "empty: no visible character"
    assert reason.pop("./d.txt") == "cannot be read: No such file or directory"
    assert reason.pop("./t.csv/000002") == "empty: no visible character"
    assert set(reason.values()) == {""}
    assert (table["label"] == "").tolist() == (table["reason"] != "").tolist()
    for value in table.to_numpy().ravel():
        assert not value.startswith(("=", "+", "@", "-"))


def test_a_text_without_a_token_is_a_row_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(root / "models" / "finetuned")
    monkeypatch.setattr(type(model.sight.tokenizer), "has_tokens", lambda self, text: "cat" in text)  # type: ignore[attr-defined]
    assert "2 texts" in run("files/00[01].txt")[0]
    table = pd.read_csv("out.csv")
    has_cat = ["cat" in TEXTS[0], "cat" in TEXTS[1]]
    assert table["reason"].isna().tolist() == has_cat
    assert not all(has_cat)


def test_it_says_of_which_texts_the_end_was_not_read(tmp_path: Path, root: Path) -> None:
    long, empty = tmp_path / "long.txt", tmp_path / "empty.txt"
    long.write_text("cat dog " * 500)
    empty.write_text("")
    lines = run("files/000.txt", str(long), str(empty))
    table = pd.read_csv("out.csv", dtype=str, na_filter=False)
    assert table["cut"].tolist() == ["False", "True", ""]
    most = load_model(root / "models" / "finetuned").record.text_options.max_tokens
    assert lines[1] == (
        f"cut: 1 of 2 texts had more than {most} tokens, and the model read only the first {most}"
    )
    assert not any(line.startswith("cut") for line in run("files/000.txt"))


def test_the_command_refuses_what_concerns_pictures(root: Path) -> None:
    done = run_program(
        root, *COMMAND, "t.csv", "--out", "x.csv", "--max-pixels", "9",
        env=NO_GPU | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: --max-pixels means nothing for a model of texts: leave it out" in done.stderr
    assert not (root / "x.csv").exists()
