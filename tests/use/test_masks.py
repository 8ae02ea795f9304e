"""Rules of masks: fixed on validation, measured on test, kept, applied, told."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from sftcore.evaluation.predict import Seen
from sftcore.foundations.errors import WeightsError
from sftcore.models.dense.resampling import upsample
from sftcore.reporting.overlays import class_colours, with_mask
from sftcore.reporting.parts import write_parts
from sftcore.tasks.segmentation import records
from sftcore.use.contract import ToJudge
from sftcore.use.decision import load_decision, save_decision
from sftcore.use.found_masks import FoundMask, present_classes
from sftcore.use.legend import legend_png
from sftcore.use.masks import FixedMasks, MaskUsage, background_of
from sftcore.use.rules import Wanted
from sftcore.use.tiles import TiledAnswers, tiling_of

NAMES = ["=cat", "background", "日本"]
WANTED = Wanted(coverage=0.8, answer_accuracy=0.9, known_fraction=0.9, confidence=0.95)
ROWS = {"train": np.arange(10), "val": np.arange(10, 16), "test": np.arange(16, 24)}
SIDE = 16


def judged(sharpness: float = 3.0) -> ToJudge:
    """Logits that are right more often than not, times too much."""
    stream = np.random.default_rng(0)
    coarse = stream.integers(0, 3, (24, 4, 4))
    answers = stream.normal(size=(24, 3, 4, 4)) + 1.0 * (
        np.arange(3)[:, None, None] == coarse[:, None]
    )
    targets = coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    targets[:, :3] = 255
    targets[:10] = 255  # a hidden split
    features = torch.from_numpy(stream.normal(size=(24, 5))).float()
    groups = np.array([f"g{row // 2}" for row in range(24)], dtype=object)
    return ToJudge(features, (sharpness * answers).astype(np.float32), targets, groups, ROWS)


def fix(of: ToJudge) -> FixedMasks:
    return MaskUsage(NAMES).fix(of, WANTED, model_sha256="m", device="cpu")


def pixels(of: ToJudge, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and classes of all judged pixels of a split."""
    rows = ROWS[split]
    whole = upsample(torch.from_numpy(of.answers[rows]), (SIDE, SIDE)).permute(0, 2, 3, 1).numpy()
    is_judged = of.targets[rows] != 255
    return whole[is_judged].astype(float), of.targets[rows][is_judged].astype(int)


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    scaled = logits / temperature
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean())


def calibration_error(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    p = np.exp(logits / temperature)
    p /= p.sum(axis=1, keepdims=True)
    confidence, is_right = p.max(axis=1), p.argmax(axis=1) == labels
    error = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap = abs(is_right[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    return error


def test_the_temperature_is_the_best_on_validation_and_measured_on_test() -> None:
    of = judged()
    rule = fix(of).decision.pixels
    logits, labels = pixels(of, "val")
    best = minimize_scalar(lambda t: nll(logits, labels, t), bounds=(0.1, 20), method="bounded")
    assert best.x > 1.5
    assert rule.temperature == pytest.approx(best.x, rel=1e-3)
    assert rule.num_pixels == len(labels) == 6 * 13 * 16
    test = pixels(of, "test")
    assert rule.test_error == pytest.approx(calibration_error(*test, rule.temperature), rel=1e-5)
    assert rule.test_error_as_trained == pytest.approx(calibration_error(*test, 1.0), rel=1e-5)
    assert rule.test_nll == pytest.approx(nll(*test, rule.temperature), rel=1e-5)
    assert rule.test_nll_as_trained == pytest.approx(nll(*test, 1.0), rel=1e-5)
    assert rule.test_error_as_trained is not None
    assert rule.test_error is not None
    assert rule.test_error < rule.test_error_as_trained


def test_a_sample_serves_and_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    of = judged()
    whole = fix(of).decision.pixels
    monkeypatch.setattr(records, "_SAMPLED_PIXELS", 6 * 100)
    rule = fix(of).decision.pixels
    assert rule.num_pixels == 600
    assert rule.temperature == fix(of).decision.pixels.temperature != whole.temperature
    assert rule.temperature == pytest.approx(whole.temperature, rel=0.2)


def test_test_and_train_have_no_say() -> None:
    of = judged()
    targets = of.targets.copy()
    targets[ROWS["test"]] = 0
    targets[ROWS["train"]] = 1
    changed = fix(replace(of, targets=targets)).decision.pixels
    assert changed.temperature == fix(of).decision.pixels.temperature
    assert changed.test_error != fix(of).decision.pixels.test_error


def test_without_a_judged_pixel_nothing_is_said(tmp_path: Path) -> None:
    of = judged()
    fixed = fix(replace(of, targets=np.full_like(of.targets, 255)))
    rule = fixed.decision.pixels
    assert (rule.temperature, rule.num_pixels, rule.test_error) == (1.0, 0, None)
    usage = MaskUsage(NAMES)
    save_decision(tmp_path / "d", fixed.decision, fixed.directions)
    assert load_decision(tmp_path / "d", "m", usage.read)[0].pixels == rule
    ids = {split: [str(row) for row in ROWS[split]] for split in ("val", "test")}
    write_parts(tmp_path / "r", usage.parts(fixed, ids, tmp_path / "r"))
    assert "none" in "".join(usage.told(fixed.decision, Counter(), 3, "pictures"))


def test_rules_are_kept_and_belong_to_their_model(tmp_path: Path) -> None:
    fixed, usage = fix(judged()), MaskUsage(NAMES)
    save_decision(tmp_path / "d", fixed.decision, fixed.directions)
    decision, _ = load_decision(tmp_path / "d", "m", usage.read)
    assert replace(decision, reference_sha256="") == fixed.decision
    with pytest.raises(WeightsError, match="another model"):
        load_decision(tmp_path / "d", "n", usage.read)
    (tmp_path / "d" / "decision.json").write_text("{}")
    with pytest.raises(WeightsError, match="no complete decision"):
        load_decision(tmp_path / "d", "m", usage.read)


def found_of(counts: list[int]) -> FoundMask:
    mask = np.repeat(np.arange(len(counts), dtype=np.uint8), counts).reshape(40, 50)
    return FoundMask(mask, np.array(counts) / 2000, 0.5, 0.25)


def test_classes_are_present_from_a_thousandth_on_the_largest_first() -> None:
    assert present_classes(found_of([2, 1498, 500]), NAMES) == ["日本", "=cat"]
    assert present_classes(found_of([1, 1499, 500]), NAMES) == ["日本"]
    assert present_classes(found_of([1000, 0, 1000]), NAMES) == ["=cat", "日本"]
    assert present_classes(found_of([0, 2000, 0]), NAMES) == []
    assert present_classes(found_of([0, 2000]), ["a", "Background"]) == ["Background"]


def test_a_row_tells_of_a_picture() -> None:
    usage, fixed = MaskUsage(NAMES), fix(judged())
    row = usage.row(found_of([2, 1498, 500]))
    assert (row["width"], row["height"]) == (50, 40)
    assert json.loads(row["classes"]) == ["日本", "=cat"]
    assert [row[f"p_{k}"] for k in range(3)] == [0.001, 0.749, 0.25]
    rows = np.empty(2, dtype=object)
    rows[:] = [row, usage.row(found_of([0, 2000, 0]))]
    seen = Seen(judged().features[:2], rows)
    cells = usage.cells(seen, (fixed.decision, fixed.directions))
    columns = usage.columns(has_rules=True, with_probabilities=True)
    assert set(columns) - {"file", "reason"} == set(cells)
    assert cells["classes"][1] == "[]"
    assert "distance" not in usage.cells(seen, None)


def test_the_temperature_moves_the_probability_and_no_pixel() -> None:
    usage, fixed = MaskUsage(NAMES), fix(judged())
    said = TiledAnswers(judged().answers[3:4], tiling_of(30, 20, SIDE))
    plain, ruled = usage.find(said, None), usage.find(said, fixed.decision)
    np.testing.assert_array_equal(plain.mask, ruled.mask)
    assert plain.mask.shape == (20, 30)
    assert plain.probability == plain.confidence == ruled.confidence
    assert ruled.probability < ruled.confidence


def test_a_drawing_leaves_the_background_as_it_is() -> None:
    usage, image = MaskUsage(NAMES), np.full((40, 50, 3), 100, dtype=np.uint8)
    drawn = usage.drawn(image, found_of([500, 1000, 500]))
    is_same = (drawn == 100).all(axis=2)
    np.testing.assert_array_equal(is_same, found_of([500, 1000, 500]).mask == 1)
    tall = np.random.default_rng(0).integers(0, 256, (400, 50, 3), dtype=np.uint8)
    mask = np.tile(found_of([500, 1000, 500]).mask, (10, 1))
    whole = with_mask(tall, mask, class_colours(NAMES), 1)
    shown = usage.drawn(tall, FoundMask(mask, np.ones(3) / 3, 1.0, 1.0))
    np.testing.assert_array_equal(shown, whole)
    assert background_of(NAMES) == 1
    assert background_of(["a"]) is None
    assert legend_png(NAMES, 1) == legend_png(NAMES, 1) != legend_png(NAMES, None)


def test_parts_and_last_words(tmp_path: Path) -> None:
    usage, fixed = MaskUsage(NAMES), fix(judged())
    ids = {split: [f"={row}" for row in ROWS[split]] for split in ("val", "test")}
    write_parts(tmp_path, usage.parts(fixed, ids, tmp_path))
    assert "\n=" not in (tmp_path / "unlike.csv").read_text()
    lines = list(usage.told(fixed.decision, Counter({"unlike": 3}), 9, "pictures"))
    assert lines[-1].startswith("unlike: 3 of 9")
    assert "0.1% of a picture's pixels" in lines[0]
    assert f"{fixed.decision.pixels.temperature:.3f}" in lines[1]
