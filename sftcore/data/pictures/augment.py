"""Augmentation of pictures, each by random numbers of its own: a function of (seed, epoch, row).

A row is a drawn row: see :func:`sftcore.data.loader.count_occurrences`.
"""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from sftcore.foundations.randomness import derive_seed, row_uniforms
from sftcore.foundations.settings import Coefficient, Dial, Fraction, Settings, setting

if TYPE_CHECKING:
    import torch

NUM_UNIFORMS = 8  # flip, angle, scale, shift x, shift y, brightness, contrast, saturation
MAX_ANGLE_DEGREES = 20.0
MAX_SCALE_CHANGE = 0.25
MAX_SHIFT_FRACTION = 0.15
MAX_COLOUR_CHANGE = 0.4
RANDAUGMENT_MAX_MAGNITUDE = 30
RANDAUGMENT_NUM_OPERATIONS = 2
ERASED_AREA = (0.02, 0.4)  # of the picture
MIN_ERASED_ASPECT = 0.3  # its reciprocal is the greatest
NUM_ERASE_TRIES = 10


class AugmentationSettings(Settings):
    """How training examples are changed."""

    strength: Dial = setting(0.0, "of the policy, from 0 (off) to 1")
    policy: Literal["basic", "randaugment", "trivialaugment"] = setting(
        "basic", "what the strength is of"
    )
    erasing: Dial = setting(0.0, "probability that a rectangle of a picture is erased")
    mixup: Coefficient = setting(0.0, "alpha of Beta(alpha, alpha); 0 is off")
    cutmix: Coefficient = setting(0.0, "alpha likewise; with mixup on too, a coin decides")
    copy_paste: Dial = setting(
        0.0, "probability that objects of another training picture are laid on one"
    )
    token_dropout: Fraction = setting(0.0, "probability that a token of a text is not shown")

    @property
    def is_off(self) -> bool:
        """Whether examples stay as they are."""
        own = (self.strength, self.erasing, self.copy_paste, self.token_dropout)
        return max(*own, self.mixup, self.cutmix) == 0


def epoch_uniforms(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The numbers that decide how pictures are changed in one epoch.

    Args:
        rows: drawn rows [B].
        seed: the run's seed.
        epoch: counted from 0.

    Returns:
        Uniform numbers from 0 to 1, float32, [B, NUM_UNIFORMS].
    """
    uniforms = row_uniforms(seed, "augmentation", epoch, rows=rows, num=NUM_UNIFORMS)
    return uniforms.astype(np.float32)


def augment(
    images: "torch.Tensor",
    uniforms: "torch.Tensor",
    strength: float,
    background: "torch.Tensor",
) -> "torch.Tensor":
    """Flip, turn, zoom, shift and recolour each picture by its own numbers.

    At ``strength`` s an angle is drawn from ±20°·s, a scale from 1 ± 0.25·s, a shift from
    ±0.15·s of the side, brightness, contrast and saturation factors from 1 ± 0.4·s; a mirror
    image is taken with probability s/2. At s = 0 the pictures are returned as they are.

    Args:
        images: [B, 3, S, S], float in [0, 1].
        uniforms: [B, NUM_UNIFORMS] from 0 to 1.
        strength: one dial from 0 (off) to 1.
        background: [3], colour in [0, 1] that fills what turning and shifting uncover.

    Returns:
        [B, 3, S, S], float in [0, 1].
    """
    import torch
    import torch.nn.functional as F

    if strength == 0:
        return images
    centred = (2 * uniforms - 1) * strength  # [B, K] in ±strength
    mirror = torch.where(uniforms[:, 0] < strength / 2, -1.0, 1.0)
    angle = centred[:, 1] * math.radians(MAX_ANGLE_DEGREES)
    scale = 1 + centred[:, 2] * MAX_SCALE_CHANGE
    shift = 2 * centred[:, 3:5] * MAX_SHIFT_FRACTION  # in units of half a side
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = [mirror * cos, -sin, shift[:, 0], mirror * sin, cos, shift[:, 1]]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # Sampling pads with zeros: shift the colours so that zero means background.
    offset = background.view(1, 3, 1, 1)
    turned = F.grid_sample(images - offset, grid, align_corners=False) + offset
    return _recolour(turned, 1 + centred[:, 5:8] * MAX_COLOUR_CHANGE)


def _recolour(images: "torch.Tensor", factors: "torch.Tensor") -> "torch.Tensor":
    """Scale brightness, contrast and saturation by ``factors`` [B, 3]."""
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(dim=1)
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(dim=1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)


def augment_by_policy(
    images: "torch.Tensor",
    rows: np.ndarray,
    augmentation: AugmentationSettings,
    seed: int,
    epoch: int,
    background: tuple[int, int, int],
) -> "torch.Tensor":
    """RandAugment or TrivialAugment as torchvision has them, each picture by its own draw.

    RandAugment applies two operations of magnitude 30·s (Cubuk et al., 2020). TrivialAugment
    applies one of random magnitude (Müller and Hutter, 2021); it has no strength, so s is the
    chance that a picture gets it.

    Args:
        images: uint8 [B, 3, S, S].
        rows: drawn rows [B]; the draw of each depends on (seed, epoch, row) alone.
        augmentation: names the policy and its strength s.
        seed: of the training.
        epoch: counted from 0.
        background: colour in [0, 255] that fills what is uncovered.

    Returns:
        uint8 [B, 3, S, S].
    """
    import torch
    from torchvision.transforms import v2

    fill = list(background)
    if augmentation.policy == "randaugment":
        magnitude = round(augmentation.strength * RANDAUGMENT_MAX_MAGNITUDE)
        policy = v2.RandAugment(RANDAUGMENT_NUM_OPERATIONS, magnitude, fill=fill)
        chance = 1.0
    else:
        policy, chance = v2.TrivialAugmentWide(fill=fill), augmentation.strength
    changed = []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global stream
        for image, row in zip(images, rows.tolist(), strict=True):
            torch.manual_seed(derive_seed(seed, "policy", epoch, row))
            is_chosen = bool(torch.rand(()) < chance)
            changed.append(policy(image) if is_chosen else image)
    return torch.stack(changed)


def draw_erasing(
    rows: np.ndarray, side: int, probability: float, seed: int, epoch: int
) -> np.ndarray:
    """The rectangle of some drawn rows in one epoch: top, bottom, left, right in pixels.

    The area is uniform in 2 to 40 % of the picture and the aspect ratio log-uniform in 0.3 to 3.3
    (Zhong et al., 2020, Random erasing data augmentation, algorithm 1); a rectangle that does not
    fit is drawn again, ten times at most.

    Returns:
        Integers [B, 4]; an empty rectangle where nothing is erased.
    """
    uniforms = row_uniforms(seed, "erasing", epoch, rows=rows, num=3 + 2 * NUM_ERASE_TRIES)
    is_erased, place = uniforms[:, 0] < probability, uniforms[:, 1:3]
    for_area, for_aspect = np.split(uniforms[:, 3:], 2, axis=1)
    least, most = ERASED_AREA
    area = (least + (most - least) * for_area) * side**2
    aspect = np.exp((1 - 2 * for_aspect) * math.log(MIN_ERASED_ASPECT))
    height = np.rint(np.sqrt(area * aspect)).astype(np.int64)
    width = np.rint(np.sqrt(area / aspect)).astype(np.int64)
    fits = (height < side) & (width < side)
    first = fits.argmax(axis=1)
    index = np.arange(len(rows))
    is_erased &= fits[index, first]
    height, width = height[index, first], width[index, first]
    top = np.floor(place[:, 0] * (side - height + 1)).astype(np.int64)
    left = np.floor(place[:, 1] * (side - width + 1)).astype(np.int64)
    return np.stack([top, top + height, left, left + width], axis=1) * is_erased[:, None]


def erase(images: "torch.Tensor", boxes: "torch.Tensor", colour: "torch.Tensor") -> "torch.Tensor":
    """Paint a rectangle of each picture in one colour (random erasing's form RE-M).

    Args:
        images: [B, 3, S, S].
        boxes: top, bottom, left, right [B, 4] in pixels.
        colour: [3], in the pictures' range; the paper's is the mean of the source's pictures.
    """
    import torch

    side = torch.arange(images.shape[-1], device=images.device)
    top, bottom, left, right = boxes.T[:, :, None]
    vertical, horizontal = (side >= top) & (side < bottom), (side >= left) & (side < right)
    inside = (vertical[:, :, None] & horizontal[:, None, :])[:, None]
    return torch.where(inside, colour.view(1, 3, 1, 1), images)
