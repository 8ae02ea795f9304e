"""Sums over pixels that a training keeps, against the metrics of whole masks; losses by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.binned_calibration import binned_calibration
from sftcore.metrics.pixel_calibration import pixel_calibration
from sftcore.metrics.segmentation import confusion_counts, segmentation_scores
from sftcore.models.dense.settings import PixelLossSettings
from sftcore.regularization.imbalance import ImbalanceSettings
from sftcore.tasks.segmentation.sums import (
    NUM_BINS,
    constant_rows,
    pixel_rows,
    read_rows,
)
from sftcore.tasks.segmentation.task import MOST_FREQUENT, SegmentationTask
from sftcore.training.settings import TrainSettings

N, K, SIDE = 19, 4, 12  # more pictures than are looked at together
NAMES = ["sky", "background", "c", "d"]
TRAIN = np.array([0, 2, 3, 5, 7, 11])


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of a third of the masks' side, and masks, of which one is ignored everywhere."""
    stream = np.random.default_rng(seed)
    logits = torch.from_numpy(stream.normal(size=(N, K, 4, 4)) * 2).float()
    logits[2, K - 1] = -20.0  # a picture that neither shows the last class nor is said to
    # The last class is rare, and no training picture shows it.
    masks = stream.choice(K - 1, p=[0.7, 0.1, 0.2], size=(N, SIDE, SIDE)).astype(np.uint8)
    masks[[1, 4], :3] = K - 1
    masks[stream.random(masks.shape) < 0.2] = IGNORED
    masks[9] = IGNORED
    return logits, torch.from_numpy(masks)


def whole(logits: Tensor, size: int = SIDE) -> np.ndarray:
    """Logits at the masks' size, as torch upsamples them."""
    return F.interpolate(
        logits.double(), size=(size, size), mode="bilinear", align_corners=False
    ).numpy()


def task_of(masks: Tensor) -> SegmentationTask:
    return SegmentationTask(masks, NAMES, TRAIN)


def test_rows_are_the_sums_of_the_metrics() -> None:
    logits, masks = drawn()
    sums = read_rows(pixel_rows(logits, masks).numpy(), K)
    truths, wanted = masks.numpy(), whole(logits)
    found = wanted.argmax(axis=1)
    np.testing.assert_array_equal(sums.confusion, confusion_counts(truths, found, K))
    calibration = pixel_calibration(wanted, truths, NUM_BINS)
    np.testing.assert_array_equal(sums.histogram[:, :, :2], calibration.histogram[:, :, :2])
    np.testing.assert_allclose(sums.histogram, calibration.histogram, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums.loss, calibration.nll_sum, rtol=1e-5)
    np.testing.assert_array_equal(sums.num_pixels, calibration.num_pixels)
    assert sums.num_pixels[9] == 0
    assert sums.confusion[9].sum() == 0


def test_a_row_is_that_of_its_picture_alone() -> None:
    logits, masks = drawn()
    together = pixel_rows(logits, masks)
    for row in (0, 8, N - 1):
        alone = pixel_rows(logits[row : row + 1], masks[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


def test_what_a_training_measures_is_the_metrics_of_all_pixels() -> None:
    logits, masks = drawn()
    task = task_of(masks)
    kept = task.kept(lambda features: features + 0, logits, masks)
    counts = confusion_counts(masks.numpy(), whole(logits).argmax(axis=1), K)
    calibration = pixel_calibration(whole(logits), masks.numpy(), NUM_BINS)
    wanted = {name: segmentation_scores(counts)[name] for name in task.scores}
    wanted["loss"] = calibration.nll_sum.sum() / calibration.num_pixels.sum()
    assert task.measure(kept, masks) == pytest.approx(wanted, rel=1e-5)
    ece = binned_calibration(calibration.histogram, np.ones((1, N))).ece[0]
    judged = task.judged(kept.numpy(), np.arange(N), None)
    assert judged == pytest.approx(wanted | {"ece": ece}, rel=1e-4)
    nothing = task.measure(kept[9:10], masks[9:10])
    assert nothing.keys() == wanted.keys()
    assert all(np.isnan(value) for value in nothing.values())


def test_a_row_is_as_good_as_its_own_loss_and_overlap() -> None:
    logits, masks = drawn()
    task = task_of(masks)
    kept = task.kept(lambda features: features, logits, masks)
    by_loss, by_score = (task.row_values(kept, masks, name) for name in ("loss", "mean_dice"))
    found = whole(logits).argmax(axis=1)
    log_p = log_softmax(whole(logits), axis=1)
    for row, (true, of_picture) in enumerate(zip(masks.numpy(), found, strict=True)):
        places = np.argwhere(true != IGNORED)
        costs = [-log_p[row, true[y, x], y, x] for y, x in places]
        assert float(by_loss[row]) == pytest.approx(-np.mean(costs) if costs else 0.0, rel=1e-4)
        sets = [
            [{(y, x) for y, x in places.tolist() if mask[y, x] == k} for mask in (true, of_picture)]
            for k in range(K)
        ]
        overlaps = [len(own & other) / len(own | other) for own, other in sets if own | other]
        assert float(by_score[row]) == pytest.approx(np.mean(overlaps) if overlaps else 0.0)


def test_an_answer_that_never_changes_has_the_rows_of_constant_logits() -> None:
    _, masks = drawn()
    for shares in ([0.1, 0.2, 0.65, 0.05], [0.2, 0.41, 0.36, 0.03]):
        frequencies = np.array(shares)
        logits = torch.from_numpy(np.log(frequencies)).float()[None, :, None, None]
        wanted = pixel_rows(logits.expand(N, K, 4, 4), masks).numpy()
        found = constant_rows(masks.numpy(), frequencies, int(frequencies.argmax()))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_simpler_row_is_the_class_that_training_pixels_have_most_often() -> None:
    _, masks = drawn()
    task, rows = task_of(masks), np.array([1, 4, 9])
    found = task.simpler((torch.zeros(6, 1), TRAIN), (torch.zeros(1, 1), rows), Tensor(), rows)
    assert set(found) == {MOST_FREQUENT} == set(task.simpler_rows)
    own = masks[torch.from_numpy(rows)].numpy()
    pixels = own[own != IGNORED]
    score = found[MOST_FREQUENT]
    assert score["pixel_accuracy"] == pytest.approx((pixels == 0).mean())
    assert score["mean_iou"] == pytest.approx((pixels == 0).mean() / K)  # the others are not found
    assert np.isfinite(score["loss"])  # though no training pixel is of the last class
    known = masks[torch.from_numpy(TRAIN)].numpy()
    share = (known == 0).sum() / ((known != IGNORED).sum() + 1)  # one pixel of the last class
    assert score["ece"] == pytest.approx(abs(share - (pixels == 0).mean()))


def test_guessing_is_the_best_answer_that_looks_at_no_picture() -> None:
    _, masks = drawn()
    guessing = task_of(masks).guessing_loss()
    known = masks[torch.from_numpy(TRAIN)].numpy()
    pixels = known[known != IGNORED]

    def cost(logits: np.ndarray) -> float:
        return float(-log_softmax(logits)[pixels].mean())

    shares = np.bincount(pixels, minlength=K) / len(pixels)
    best = np.log(shares + 1e-9)
    assert guessing == pytest.approx(cost(best), rel=1e-4)
    stream = np.random.default_rng(0)
    assert all(cost(best + stream.normal(size=K) / 5) > guessing for _ in range(20))


def test_counts_are_those_of_all_training_pictures() -> None:
    stream = np.random.default_rng(0)
    masks = stream.integers(0, K, (200, 4, 4)).astype(np.uint8)
    masks[:, 0] = IGNORED
    masks[150:] = 1  # not trained on
    task = SegmentationTask(torch.from_numpy(masks), NAMES, np.arange(150))
    own = masks[:150]
    np.testing.assert_array_equal(task._counts(task.train_rows), np.bincount(own[own < K]))


@pytest.mark.parametrize(
    "update",
    [
        TrainSettings(),
        TrainSettings(
            label_smoothing=0.2,
            pixel_loss=PixelLossSettings(dice=0.7),
            imbalance=ImbalanceSettings(class_weighting=0.5, logit_adjustment=1.0),
        ),
    ],
    ids=["plain", "all"],
)
def test_parts_of_a_batch_add_up_to_its_loss_and_gradient(update: TrainSettings) -> None:
    logits, masks = drawn()
    task = task_of(masks)
    criterion = task.criterion(update)
    weight = task.weight(masks)
    assert weight == float((masks != IGNORED).sum())
    assert task.weight(masks[9:10]) == 1.0
    found = []
    for ends in ((0, N), (0, 1, 7, 9, 10, N)):
        given = logits.clone().requires_grad_()
        losses = [criterion(given[a:b], masks[a:b], weight) for a, b in pairwise(ends)]
        loss = torch.stack(losses).sum()
        loss.backward()
        assert given.grad is not None
        found.append((float(loss.detach()), given.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-7)
    assert not found[0][1][9].any()  # nothing is learnt where nobody has looked


def test_the_loss_weighs_classes_and_moves_logits_as_training_pixels_have_it() -> None:
    logits, masks = drawn()
    task = task_of(masks)
    known = masks[torch.from_numpy(TRAIN)]
    counts = torch.bincount(known[known != IGNORED].long(), minlength=K).clamp(min=1).double()
    weights = counts**-0.5
    weights *= counts.sum() / (weights * counts).sum()
    offsets = 1.5 * (counts / counts.sum()).log()
    moved = torch.from_numpy(whole(logits)) + offsets[:, None, None]
    wanted = F.cross_entropy(
        moved, masks.long(), weights, ignore_index=IGNORED, reduction="sum", label_smoothing=0.2
    ) / task.weight(masks)
    imbalance = ImbalanceSettings(class_weighting=0.5, logit_adjustment=1.5)
    criterion = task.criterion(TrainSettings(label_smoothing=0.2, imbalance=imbalance))
    assert float(criterion(logits, masks, task.weight(masks))) == pytest.approx(
        float(wanted), rel=1e-5
    )
