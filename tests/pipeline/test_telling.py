"""What MLflow is told in numbers and in words."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sftcore.pipeline.results import answer_text, headline_metrics
from sftcore.pipeline.telling import (
    cell_lines,
    files_text,
    size_text,
    study_text,
    training_text,
)
from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.text_classification.task import TextClassificationTask

METRICS: dict[str, Any] = {
    "test": {"num_pictures": 9, "accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8,
             "balanced_accuracy": 0.4, "macro_f1": 0.3, "nll": 1.2, "ece": 0.1, "brier": 0.6},
    "val": {"accuracy": 0.7},
    "worth": {"test_accuracy": -0.1},
    "gap": {"train_minus_test_accuracy": 0.25},
    "interval": {"confidence": 0.9},
    "baselines": {"most_frequent": {"test_accuracy": 0.1, "test_accuracy_low": 0.0,
                                    "test_accuracy_high": 0.2}},
}  # fmt: skip


def test_each_headline_number_comes_from_its_own_place() -> None:
    found = headline_metrics(METRICS)
    assert tuple(found) == tuple(ClassificationTask.headline)
    assert found["test/accuracy_gain"] == -0.1
    assert found["test/accuracy_gap"] == 0.25
    assert found["val/final_accuracy"] == 0.7
    assert [found[f"test/{n}"] for n in ("accuracy", "accuracy_low", "nll")] == [0.5, 0.2, 1.2]


def test_the_table_has_the_training_and_the_rows_to_beat() -> None:
    assert answer_text(METRICS).splitlines() == [
        "| on 9 test pictures | accuracy | 90% interval |",
        "|---|---|---|",
        "| **fine-tuned** | 0.500 | 0.200 to 0.800 |",
        "| most frequent | 0.100 | 0.000 to 0.200 |",
    ]


def test_names_of_classes_stay_text_and_many_are_counted() -> None:
    classes = ["<script>", "`a`|b", *(f"c{number}" for number in range(30))]
    changes = {"train.penalties.l1": (0, 1)}
    counts = {"train": 5, "val": 2}
    text = training_text("net", classes, size_text(32, 128), counts, changes, ClassificationTask)
    assert "&lt;script&gt;, \\`a\\`\\|b, c0" in text
    assert "and 12 more" in text
    assert "32 classes of pictures, 32 × 32 pixels: 5 in train, 2 in val" in text
    assert "train.penalties.l1 0 → 1" in text


def test_of_texts_tokens_are_told_and_no_pixels() -> None:
    size, counts = size_text(0, 64), {"train": 5}
    text = training_text("net", ["a", "b"], size, counts, {}, TextClassificationTask)
    assert "2 classes of texts, at most 64 tokens: 5 in train." in text
    assert "pi" not in text.lower()


def test_a_study_without_some_answers() -> None:
    assert study_text({"worth": "A gain.", "helped": "", "recipe": "abc"}) == "- A gain."


@pytest.mark.parametrize(
    ("experiment", "commit", "said"),
    [
        ("puffy", "abc", "`dvc exp apply puffy`"),
        ("", "abcdef0123456789", "`git checkout abcdef012345`"),
    ],
)
def test_how_files_come_back(experiment: str, commit: str, said: str) -> None:
    assert said in files_text(experiment, commit)


def test_without_git_no_commit_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert "commit" not in files_text()
    assert "checkout" not in files_text()


def test_a_line_is_its_numbers_and_its_row_but_not_its_family(tmp_path: Path) -> None:
    cells = pd.DataFrame(
        {
            "family": ["screen", "stability", "screen", "screen"],
            "row": ["none", "none", "none", "l1"],
            "setting": [1, 2, 1, 1],
            "seed": [0, 0, 1, 0],
            "loss": [0.5, 0.5, 0.5, 0.5],
        }
    )
    cells.to_csv(tmp_path / "cells.csv", index=False)
    first, same, seed, row = cell_lines(tmp_path / "cells.csv")
    assert first == same
    assert len({first, seed, row}) == 3
