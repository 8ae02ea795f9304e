"""Losses of pixels against their formulas, pixel by pixel in double precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.models.dense.pixel_loss import (
    cross_entropy_rows,
    dice_rows,
    num_labelled,
    pixel_loss_rows,
    pixel_loss_sum,
)
from sftcore.models.dense.settings import PixelLossSettings

CLASSES = 4
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0])
SMOOTHINGS = [0.0, 0.1]


def drawn(seed: int = 0, rows: int = 3) -> tuple[Tensor, Tensor]:
    """Logits, and labels of which some are missing; the last picture has hardly any."""
    torch.manual_seed(seed)
    logits = 3 * torch.randn(rows, CLASSES, 5, 6)
    labels = torch.randint(0, CLASSES - 1, (rows, 5, 6), dtype=torch.uint8)
    labels[torch.rand(labels.shape) < 0.3] = IGNORED
    labels[-1] = IGNORED
    labels[-1, 2, 3] = CLASSES - 1
    return logits, labels


def cross_entropy_by_pixel(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    rows = []
    for picture, own in zip(logits.double(), labels, strict=True):
        total = torch.zeros((), dtype=torch.float64)
        for i in range(own.shape[0]):
            for j in range(own.shape[1]):
                if int(own[i, j]) == 255:
                    continue
                e = picture[:, i, j].exp()
                for k in range(len(e)):
                    t = (1 - smoothing) * (k == int(own[i, j])) + smoothing / len(e)
                    w = 1.0 if weights is None else float(weights[k])
                    total = total - w * t * (e[k] / e.sum()).log()
        rows.append(total)
    return torch.stack(rows)


def dice_by_pixel(logits: Tensor, labels: Tensor) -> Tensor:
    rows = []
    for picture, own in zip(logits.double(), labels, strict=True):
        e = picture.exp()
        p = e / e.sum(dim=0)
        found = []
        for k in sorted({int(y) for y in own.flatten()} - {255}):
            above, below = 0.0, 0.0
            for i in range(own.shape[0]):
                for j in range(own.shape[1]):
                    if int(own[i, j]) != 255:
                        g = float(int(own[i, j]) == k)
                        above = above + 2 * p[k, i, j] * g
                        below = below + p[k, i, j] ** 2 + g**2
            found.append(above / below)
        rows.append(1 - sum(found) / len(found))
    return torch.stack(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_cross_entropy_is_its_formula(weights: Tensor | None, smoothing: float) -> None:
    logits, labels = drawn()
    logits.requires_grad_()
    found = cross_entropy_rows(logits, labels, weights, smoothing)
    wanted = cross_entropy_by_pixel(logits, labels, weights, smoothing)
    torch.testing.assert_close(found, wanted.float())
    slope = torch.tensor([1.0, 2.0, 3.0])
    mine, theirs = (torch.autograd.grad((x * slope).sum(), logits)[0] for x in (found, wanted))
    torch.testing.assert_close(mine, theirs)
    assert not mine.permute(0, 2, 3, 1)[labels == IGNORED].any()


def test_dice_is_its_formula() -> None:
    logits, labels = drawn()
    logits.requires_grad_()
    found, wanted = dice_rows(logits, labels), dice_by_pixel(logits, labels)
    torch.testing.assert_close(found, wanted.float())
    mine, theirs = (torch.autograd.grad(x.sum(), logits)[0] for x in (found, wanted))
    torch.testing.assert_close(mine, theirs)
    assert not mine.permute(0, 2, 3, 1)[labels == IGNORED].any()


def test_dice_is_zero_for_the_truth_and_one_for_its_opposite() -> None:
    labels = torch.tensor([[[0, 0, 1, IGNORED]]])
    truth = F.one_hot(labels.clamp(max=1), 3).permute(0, 3, 1, 2) * 200.0
    assert float(dice_rows(truth, labels)) == 0
    assert float(dice_rows(truth.roll(1, dims=1), labels)) == 1


@pytest.mark.parametrize("dice", [0.0, 0.7])
def test_parts_of_a_batch_add_up_to_it(dice: float) -> None:
    settings = PixelLossSettings(dice=dice)
    logits, labels = drawn()
    weight = num_labelled(labels)
    assert weight == int((labels != 255).sum())
    logits.requires_grad_()

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, logits)[0]

    whole = gradient(pixel_loss_sum(logits, labels, settings, WEIGHTS, 0.1) / weight)
    parts = [slice(0, 2), slice(2, 3)]  # of about 42 labelled pixels and of one
    added = sum(
        gradient(pixel_loss_sum(logits[part], labels[part], settings, WEIGHTS, 0.1) / weight)
        for part in parts
    )
    torch.testing.assert_close(added, whole)
    means = sum(
        gradient(pixel_loss_sum(logits[part], labels[part], settings, WEIGHTS, 0.1))
        / num_labelled(labels[part])
        for part in parts
    )
    assert not torch.allclose(means / 2, whole, rtol=0.1)  # type: ignore[arg-type]


def test_wholly_labelled_pictures_cost_the_two_means() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(3, CLASSES, 5, 6), torch.randint(0, CLASSES, (3, 5, 6))
    rows = pixel_loss_rows(logits, labels, PixelLossSettings(dice=0.7))
    loss = rows.sum() / num_labelled(labels)
    wanted = F.cross_entropy(logits, labels) + 0.7 * dice_by_pixel(logits, labels).mean().float()
    torch.testing.assert_close(loss, wanted)
    alone = pixel_loss_rows(logits, labels, PixelLossSettings())
    torch.testing.assert_close(alone.sum() / num_labelled(labels), F.cross_entropy(logits, labels))


def test_coarse_logits_are_upsampled_to_the_labels() -> None:
    torch.manual_seed(2)
    coarse, labels = torch.randn(2, CLASSES, 3, 4), torch.randint(0, CLASSES, (2, 11, 16))
    fine = F.interpolate(coarse, size=(11, 16), mode="bilinear", align_corners=False)
    wanted = F.cross_entropy(fine, labels, reduction="sum")
    torch.testing.assert_close(pixel_loss_sum(coarse, labels, PixelLossSettings()), wanted)


def test_pictures_without_labels_cost_nothing_and_pull_nowhere() -> None:
    logits = torch.randn(2, CLASSES, 3, 3, requires_grad=True)
    labels = torch.full((2, 3, 3), IGNORED)
    loss = pixel_loss_sum(logits, labels, PixelLossSettings(dice=1.0), WEIGHTS, 0.1)
    (loss / num_labelled(labels)).backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_short_types_are_summed_in_float32_and_great_logits_are_finite() -> None:
    logits, labels = drawn()
    settings = PixelLossSettings(dice=1.0)
    short = logits.bfloat16()
    found = pixel_loss_rows(short, labels, settings)
    assert torch.equal(found, pixel_loss_rows(short.float(), labels, settings))
    great = (1e4 * logits).requires_grad_()
    loss = pixel_loss_sum(great, labels, settings)
    loss.backward()
    assert loss.isfinite()
    assert great.grad is not None
    assert great.grad.isfinite().all()
