"""The report of classes of texts: its words, the most wrong texts, what mattered in them."""

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.evaluation.predict import FineTuned
from sftcore.evaluation.sight import PictureSight
from sftcore.evaluation.training_parts import training_parts
from sftcore.foundations.artifacts import read_json
from sftcore.metrics.classification import classification_metrics
from sftcore.pipeline.evaluate import _explain
from sftcore.pipeline.results import answer_text, first_answer
from sftcore.reporting.page import Article, Chapter, render_page
from sftcore.reporting.parts import PARTS_FILE, Part, read_parts
from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.finished import Explanation, Span, unexplained
from sftcore.tasks.names import CLASSES_OF_TEXTS
from sftcore.tasks.reports import report_for
from sftcore.tasks.text_classification.figures import Marked, words_figure
from sftcore.tasks.text_classification.most_wrong import shortened, show_texts, words_of
from sftcore.tasks.text_classification.task import TextClassificationTask
from tests.evaluation.test_attribution import TEXTS, tiny
from tests.tasks.finished import MEASURING, NAMES, made
from tests.tasks.test_reports import rows_to_beat

HARD = "The texts it is most wrong about"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    finished, facts, features = made(CLASSES_OF_TEXTS)
    report = report_for(CLASSES_OF_TEXTS, NAMES, facts)
    folder = tmp_path_factory.mktemp("texts") / "report"
    return folder, report.write(
        finished, MEASURING, folder, rows_to_beat(report, finished, features)
    )


def hardest(folder: Path) -> Part:
    return next(part for part in read_parts(folder) if part.title == HARD)


def test_nothing_speaks_of_pictures(written: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = written
    report = report_for(CLASSES_OF_TEXTS, NAMES, {"names": NAMES})
    page = render_page(Article("t", "q", ["a"]), [Chapter("c", folder, read_parts(folder))])
    said = [answer_text(metrics), *first_answer(metrics), report.closing(metrics), page]
    said += [report.title({"num_texts": 200, "num_classes": 3}), report.worth_on_test(metrics)]
    said += [file.read_text() for file in folder.iterdir() if file.suffix in (".csv", ".json")]
    assert not [text for text in said if "picture" in text.lower()]
    assert "Fine-tuning on 200 texts of 3 classes" in said
    assert metrics["test"]["num_texts"] == metrics["paired"]["num_texts"] == 50
    assert list(pd.read_csv(folder / "reliability.csv"))[2] == "num_texts"
    assert "TF-IDF + logistic regression" in html.unescape(page)
    assert "tfidf" not in (folder / PARTS_FILE).read_text().replace(
        '"tfidf_logistic_regression": "TF-IDF + logistic regression"', ""
    )


def test_of_a_training_texts_are_told(tmp_path: Path) -> None:
    losses = {"train_loss": 0.25, "val_loss": 0.5}
    history = pd.DataFrame([{"phase": phase, **losses} for phase in ("head", "all")])
    told = []
    for task in (TextClassificationTask, ClassificationTask):
        parts = training_parts(history, pd.DataFrame(), "best", 0, ["wise_ft.png"], task)
        told.append(repr(parts))
    assert "0.250 on training texts and 0.500 on validation texts" in told[0]
    assert told[0] == told[1].replace("picture", "text")


def test_matthews_correlation_stands_beside_the_other_numbers(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, metrics = written
    finished = made(CLASSES_OF_TEXTS)[0].of("test")
    own = classification_metrics(finished.targets, finished.answers, np.ones((1, 50)), 7).mcc[0]
    test = metrics["test"]
    assert test["mcc"] == pytest.approx(own, abs=1e-6)
    assert test["mcc_low"] < test["mcc"] < test["mcc_high"]
    for row in metrics["baselines"].values():
        assert -1 <= row["test_mcc_low"] <= row["test_mcc"] <= row["test_mcc_high"] <= 1
    worth = test["mcc"] - metrics["baselines"]["logistic_regression"]["test_mcc"]
    assert metrics["worth"]["test_mcc"] == pytest.approx(worth, abs=2e-6)
    assert f"MCC {test['mcc']:.3f} [" in read_parts(folder)[0].text[0]
    told = report_for(CLASSES_OF_TEXTS, NAMES, {"names": NAMES}).headline_metrics(metrics)
    assert told["test/mcc"] == test["mcc"]


def test_a_table_names_the_words_of_most_weight(written: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = written
    table = pd.read_csv(folder / "most_wrong.csv")
    assert len(table) == MEASURING.num_most_wrong
    assert table["probability_of_label"].is_monotonic_increasing
    finished = made(CLASSES_OF_TEXTS)[0]
    for row in table.itertuples():
        text = finished.examples[list(finished.ids).index(str(row.id).removeprefix("'"))]
        assert str(row.text) == "'" + shortened(text)  # it begins like a formula
        assert "$here$, +0.88" in str(row.words)
    assert "Sundararajan" in hardest(folder).text[0]
    assert "at most 0.01 of" in hardest(folder).text[0]


def lines(probability: list[list[float]], labels: list[str]) -> pd.DataFrame:
    p = np.array(probability)
    names = np.array(NAMES, dtype=object)
    table = {"id": [f"{k}" for k in range(len(p))], "label": labels,
             "predicted": names[p.argmax(1)], "confidence": p.max(1),
             "probability_of_label": 0.1}  # fmt: skip
    return pd.DataFrame(table).assign(**{f"p_{k}": p[:, k] for k in range(3)})


def test_an_answer_is_explained_against_the_truth_or_else_the_next_class(tmp_path: Path) -> None:
    asked: list[Any] = []

    def explain(texts: Any, classes: np.ndarray, others: np.ndarray) -> list[Explanation]:
        asked.append((texts, classes.tolist(), others.tolist()))
        return unexplained(texts, classes, others)

    wrong = lines(
        [[0.1, 0.7, 0.2], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]], [NAMES[0], *NAMES[2:], NAMES[0]]
    )
    texts = np.array(["a", "b", "c"], dtype=object)
    part = show_texts(wrong, texts, tmp_path, classes=NAMES, explain=explain)
    assert asked == [(["a", "b", "c"], [1, 2, 0], [0, 1, 2])]
    assert part.text == ()  # nothing was weighed, so nothing is claimed
    assert pd.read_csv(tmp_path / "most_wrong.csv")["words"].isna().all()


def test_words_in_order_of_their_weight_with_their_sign() -> None:
    weights = [0.1, -3.0, 0.0, 2.0, 1.0, -0.5]
    spans = tuple(Span(2 * k, 2 * k + 1, w) for k, w in enumerate(weights))
    found = words_of("a b c d e f", Explanation((*spans, Span(4, 4, 9.0)), 0.0))
    assert found == "b -3.00, d +2.00, e +1.00, f -0.50, a +0.10"


def test_a_long_text_is_one_short_line() -> None:
    assert shortened("a\n b\t c") == "a b c"
    assert len(shortened("word " * 1000)) == 300
    assert shortened("word " * 1000).endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "a $b$ \\frac{1}{2} % c_1^2",
        "日本語の文",
        "العربية",
        "🙂 👍🏽",
        "x" * 5000,
        "word\n" * 5000,
        "!",
    ],
)
def test_any_text_can_be_drawn_and_twice_the_same(text: str) -> None:
    spans = [Span(0, 1, 0.5), Span(1, 3, -2.0), Span(3, len(text), 0.0)]
    for marked in (spans, [], spans[:1]):
        drawn = [words_figure([Marked("h", text, marked)], "t", "l") for _ in range(2)]
        assert drawn[0] == drawn[1]
        assert drawn[0].startswith(b"\x89PNG")


def test_colour_follows_weight() -> None:
    def drawn(weight: float) -> bytes:
        return words_figure(
            [Marked("h", "one two", [Span(0, 3, weight), Span(4, 7, 2.0)])], "t", "l"
        )

    assert len({drawn(weight) for weight in (-1.0, 0.0, 1.0, 2.0)}) == 4


def test_evaluate_explains_texts_and_no_pictures(tmp_path: Path) -> None:
    frozen = tiny(tmp_path)
    pair = np.array([0]), np.array([1])
    model: Any = FineTuned(frozen.network, None, frozen.sight)  # type: ignore[arg-type]
    assert _explain(model)(TEXTS[:1], *pair)[0].spans
    sight = PictureSight((0.0,) * 3, (1.0,) * 3, torch.device("cpu"))
    assert _explain(replace(model, sight=sight)) is unexplained
    finished = replace(made(CLASSES_OF_TEXTS)[0], explain=unexplained)
    assert finished.of("test").explain is unexplained


def test_the_record_names_the_task(written: tuple[Path, dict[str, Any]]) -> None:
    assert read_json(written[0] / "metrics.json")["task"] == CLASSES_OF_TEXTS
