"""The rules as a record: fixed, kept, applied, told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sftcore.foundations.errors import WeightsError
from sftcore.reporting.parts import PARTS_FILE, write_parts
from sftcore.use.decision import decide, load_decision, read_classes, save_decision
from sftcore.use.parts import use_parts
from sftcore.use.rules import Fixed, Wanted, fix_rules

WANTED = Wanted(coverage=0.9, answer_accuracy=0.9, known_fraction=0.9, confidence=0.95)


def make(
    num_val: int, signal: float, wanted: Wanted = WANTED
) -> tuple[Fixed, torch.Tensor, np.ndarray]:
    """Rules of a model whose logits say so much of the label; 0 is chance."""
    stream = np.random.default_rng(0)
    sizes = {"train": 60, "val": num_val, "test": 80}
    total = sum(sizes.values())
    labels = stream.integers(0, 3, total)
    features = stream.normal(size=(total, 8)).astype(np.float32)
    logits = stream.normal(size=(total, 3)) + signal * np.eye(3)[labels]
    probability = torch.softmax(torch.from_numpy(logits), 1).float().numpy()
    bounds = np.cumsum([0, *sizes.values()])
    rows = {name: np.arange(bounds[k], bounds[k + 1]) for k, name in enumerate(sizes)}
    groups = np.array([f"g{row}" for row in range(total)], dtype=object)
    fixed = fix_rules(
        torch.from_numpy(features), probability, labels, groups, rows, wanted,
        model_sha256="m", device="cpu",
    )  # fmt: skip
    return fixed, torch.from_numpy(features[rows["test"]]), probability[rows["test"]]


def texts(fixed: Fixed, folder: Path, examples: str = "pictures") -> str:
    folder.mkdir()
    ids = {"val": [f"=v{k}" for k in range(len(fixed.val.labels))],
           "test": [f"t{k}" for k in range(len(fixed.test.labels))]}  # fmt: skip
    parts = use_parts(fixed, ids, folder, examples)
    write_parts(folder, parts)
    assert "\n=v" not in (folder / "unlike.csv").read_text()
    return " ".join(text for part in parts for text in part.text)


@pytest.mark.parametrize("wanted", [0.5, 1.0])
def test_the_words_name_what_was_judged(wanted: float, tmp_path: Path) -> None:
    fixed, _, _ = make(90, 1, Wanted(0.9, wanted, 0.9, 0.95))
    texts(fixed, tmp_path / "pictures")
    texts(fixed, tmp_path / "texts", "texts")
    said = {name: (tmp_path / name / PARTS_FILE).read_text() for name in ("pictures", "texts")}
    assert "picture" not in said["texts"]
    assert said["texts"] == said["pictures"].replace("picture", "text").replace("Picture", "Text")


def test_rules_are_kept_and_applied_as_they_were_measured(tmp_path: Path) -> None:
    fixed, features, probability = make(90, 4)
    save_decision(tmp_path / "decision", fixed.decision, fixed.directions)
    decision, directions = load_decision(tmp_path / "decision", "m", read_classes)
    assert decision.reference_sha256
    assert decision.coverage == fixed.decision.coverage
    assert decision.abstention == fixed.decision.abstention
    found = decide(decision, directions, features, probability)
    inside = found.in_set[np.arange(80), fixed.test.labels]
    assert inside.mean() == decision.coverage.test.value
    assert (~found.abstains).mean() == decision.abstention.test_answered.value
    assert (~found.is_unlike).mean() == decision.unlike.test_passed.value
    np.testing.assert_allclose(found.probability.sum(axis=1), 1)
    val_passed = (fixed.val.distance <= decision.unlike.most_distance).mean()
    assert 0.9 <= val_passed < 0.93
    with pytest.raises(WeightsError, match="another model"):
        load_decision(tmp_path / "decision", "n", read_classes)
    assert "Validation chose to answer" in texts(fixed, tmp_path / "report")


def test_a_model_that_knows_nothing_abstains_and_says_so(tmp_path: Path) -> None:
    fixed, features, probability = make(90, 0, Wanted(0.9, 1.0, 0.9, 0.95))
    assert fixed.decision.abstention.least_probability is None
    assert decide(fixed.decision, fixed.directions, features, probability).abstains.all()
    said = texts(fixed, tmp_path / "report")
    assert "marks every picture `abstain`" in said
    save_decision(tmp_path / "decision", fixed.decision, fixed.directions)
    assert (
        load_decision(tmp_path / "decision", "m", read_classes)[0].abstention.least_probability
        is None
    )


def test_too_few_validation_pictures_give_whole_sets_and_say_so(tmp_path: Path) -> None:
    fixed, features, probability = make(5, 4)
    assert decide(fixed.decision, fixed.directions, features, probability).in_set.all()
    assert fixed.decision.coverage.test.value == 1
    assert "too few for this coverage" in texts(fixed, tmp_path / "report")
