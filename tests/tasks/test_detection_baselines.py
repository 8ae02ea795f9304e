"""The rows to beat of boxes: against scikit-learn, by hand, and where the maps tell the boxes."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from sftcore.metrics.detection import detection_scores
from sftcore.metrics.detection_matching import match_detections
from sftcore.models.dense.points import assign, grid_points
from sftcore.models.dense.settings import DecodingSettings
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.tasks.detection.baselines import linear_head, nearest_picture, rows_to_beat
from sftcore.tasks.detection.boxes import detections_of, learnt_boxes, truths_of
from sftcore.tasks.detection.linear_detector import fit_detector, kept_background
from sftcore.tasks.report_contract import Known, Shown
from tests.tasks.boxes import NUM_CLASSES, SIDE, SIZES, telling_maps, true_boxes

DECODING = DecodingSettings(max_detections=20)


def known(count: int, seed: int, noise: float = 0.5) -> Known:
    targets = torch.from_numpy(true_boxes(count, seed))
    pictures = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    features = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 5))).float()
    return Known(features, lambda: pictures, targets, maps=partial(telling_maps, targets, noise))


TRAIN, VAL, TEST = known(40, 0), known(20, 1), known(25, 2)


def ap50(answers: np.ndarray, targets: Tensor) -> float:
    truths = truths_of(targets.numpy())
    return detection_scores(
        match_detections(detections_of(answers), truths, len(answers), NUM_CLASSES)
    )["ap50"]


def test_the_nearest_picture_gives_its_boxes_but_no_crowd() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    targets = torch.zeros(2, 2, 6)
    targets[0, 0] = torch.tensor([1.0, 2, 3, 4, 2, 0])
    targets[0, 1] = torch.tensor([5.0, 6, 7, 8, 1, 1])  # a crowd
    targets[1, :, 4] = -1
    row = nearest_picture((features, targets), torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3]]))
    assert (row.val[..., 5] == -1).all()
    np.testing.assert_allclose(row.test[0, 0], [1, 2, 3, 4, 0.8, 2], rtol=1e-6)
    assert row.test[0, 1].tolist() == [0, 0, 0, 0, 0, -1]


def test_a_score_is_a_cosine_and_never_below_zero() -> None:
    targets = torch.tensor([[[1.0, 2, 3, 4, 0, 0]]])
    row = nearest_picture(
        (torch.tensor([[1.0, 0.0]]), targets), torch.tensor([[-1.0, 0]]), torch.tensor([[2.0, 0]])
    )
    assert row.val[0, 0, 4] == 0
    assert row.test[0, 0, 4] == 1


@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0])
def test_background_is_thinned_evenly(rate: float) -> None:
    kept = kept_background(24 * 24 * 50, rate)
    assert kept.mean() == pytest.approx(rate, rel=0.02)
    columns = kept.reshape(-1, 24).mean(axis=0)
    np.testing.assert_allclose(columns, rate, atol=0.25 * rate)


def points_of(of: Known, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, class and logarithms of the four distances of all points of a level."""
    maps, points = telling_maps(of.targets), grid_points(SIZES)
    found = assign(points, learnt_boxes(of.targets), 1.5)
    is_level = (points[:, 2] == stride).numpy()
    place, boxes = points.numpy()[is_level].astype(float), found.boxes.numpy()[:, is_level]
    features = maps[stride].permute(0, 2, 3, 1).reshape(-1, maps[stride].shape[1])
    sides = np.concatenate([place[:, :2] - boxes[..., :2], boxes[..., 2:] - place[:, :2]], axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(sides / stride).reshape(-1, 4)
    return features.double().numpy(), found.classes.numpy()[:, is_level].ravel(), logs


def thinned(of: Known, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, class and weight of the points that are learnt from."""
    features, classes, _ = points_of(of, stride)
    background = np.flatnonzero(classes < 0)
    rate = min(1.0, 10 * max(1, (classes >= 0).sum()) / len(background))
    kept = background[np.arange(len(background)) * (5**0.5 - 1) / 2 % 1 < rate]
    rows = np.concatenate([np.flatnonzero(classes >= 0), kept])
    return features[rows], classes[rows], np.where(classes[rows] < 0, 1 / rate, 1.0)


def test_classes_are_scikit_learns_weighted_regressions_at_the_chosen_strength() -> None:
    own, other = ((telling_maps(of.targets), learnt_boxes(of.targets)) for of in (TRAIN, VAL))
    level = fit_detector(own, other, NUM_CLASSES).levels[8]
    features, classes, weights = thinned(TRAIN, 8)
    assert weights.max() > 1
    mean, num_own = features.mean(axis=0), (classes >= 0).sum()
    spread = ((features - mean) ** 2).sum(axis=1).mean() ** 0.5

    def logits(strength: float, of: np.ndarray) -> np.ndarray:
        fitted = [
            LogisticRegression(C=1 / (strength * num_own), solver="newton-cg", tol=1e-12,
                               max_iter=10_000)
            .fit((features - mean) / spread, classes == k, sample_weight=weights)
            for k in range(NUM_CLASSES)
        ]  # fmt: skip
        return np.stack([f.decision_function((of - mean) / spread) for f in fitted], axis=1)

    val, val_classes, val_weights = thinned(VAL, 8)
    signs = np.where(val_classes[:, None] == np.arange(NUM_CLASSES), 1, -1)
    losses = {
        strength: (np.logaddexp(0, -signs * logits(strength, val)).sum(axis=1) * val_weights).sum()
        for strength in STRENGTHS
    }
    chosen = level.classes.strength
    assert chosen == min(losses, key=losses.__getitem__)
    assert chosen not in (STRENGTHS[0], STRENGTHS[-1])
    found = level.classes.logits(torch.from_numpy(val)).numpy()
    np.testing.assert_allclose(found, logits(chosen, val), rtol=1e-3, atol=1e-2)


def test_sides_are_scikit_learns_ridge_at_the_points_of_boxes() -> None:
    own, other = ((telling_maps(of.targets), learnt_boxes(of.targets)) for of in (TRAIN, VAL))
    level = fit_detector(own, other, NUM_CLASSES).levels[8]
    features, classes, logs = points_of(TRAIN, 8)
    features, logs = features[classes >= 0], logs[classes >= 0]
    spread = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean() ** 0.5
    ridge = Ridge(alpha=level.sides.strength * len(features) / 2).fit(features / spread, logs)
    other_features = points_of(VAL, 8)[0]
    np.testing.assert_allclose(
        level.sides.logits(torch.from_numpy(other_features)).numpy(),
        ridge.predict(other_features / spread),
        atol=1e-6,
    )


def test_maps_that_tell_the_boxes_give_them_and_noise_gives_none() -> None:
    clear = [known(count, seed, 0.15) for seed, count in enumerate((40, 20, 25))]
    row = linear_head(*clear, NUM_CLASSES, DECODING)
    assert {"class_strength_8", "class_strength_16"} < set(row.settings)
    assert row.test.shape == (25, 20, 6)
    assert ap50(row.test, TEST.targets) > 0.7
    scores = row.test[..., 4]
    assert (np.diff(scores, axis=1) <= 0).all()
    assert row.test[..., :4].min() >= 0
    assert row.test[..., :4].max() <= SIDE
    blind = linear_head(known(20, 0, 50.0), known(9, 1, 50.0), known(25, 2, 50.0), 3, DECODING)
    assert ap50(blind.test, TEST.targets) < 0.2
    assert (blind.test[..., 5] >= 0).any()  # however low its scores are


def test_crowds_are_not_learnt() -> None:
    crowd = TRAIN.targets.clone()
    crowd[..., 5] = 1
    detector = fit_detector(
        (telling_maps(TRAIN.targets), learnt_boxes(crowd)),
        (telling_maps(VAL.targets), learnt_boxes(VAL.targets)),
        NUM_CLASSES,
    )
    assert detector.levels == {}
    answers = detector.answers(telling_maps(TEST.targets), (SIDE, SIDE), DECODING)
    assert answers.shape == (25, 20, 6)
    assert (answers[..., 5] == -1).all()


def test_a_level_without_boxes_gives_none() -> None:
    small = TRAIN.targets.clone()
    small[..., 2:4] = small[..., :2] + 9  # nothing for the coarser levels
    maps = telling_maps(small)
    detector = fit_detector((maps, learnt_boxes(small)), (maps, learnt_boxes(small)), NUM_CLASSES)
    assert list(detector.levels) == [8]
    assert detector.outputs(maps).shape == (40, 256, NUM_CLASSES + 5)
    assert set(detector.settings) == {"class_strength_8", "side_strength_8"}


def test_both_rows_are_the_same_twice_and_boxes_of_test_are_no_argument() -> None:
    first, second = (rows_to_beat(TRAIN, VAL, TEST, NUM_CLASSES, DECODING) for _ in range(2))
    assert [row.name for row in first] == ["nearest_picture", "linear_head"]
    for one, other in zip(first, second, strict=True):
        assert one.settings == other.settings
        assert (one.val == other.val).all()
        assert (one.test == other.test).all()
        assert np.isfinite(one.test).all()
    assert inspect.signature(rows_to_beat).parameters["test"].annotation is Shown
