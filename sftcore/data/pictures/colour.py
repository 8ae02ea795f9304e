"""Colours changed and nothing moved, for pictures whose masks and boxes have to stay true.

Each picture is changed by its own draw, a function of (seed, epoch, row); a row is a drawn row: see
:func:`sftcore.data.loader.count_occurrences`.
"""

import numpy as np
import torch
from torch import Tensor

from sftcore.data.pictures.augment import (
    RANDAUGMENT_MAX_MAGNITUDE,
    RANDAUGMENT_NUM_OPERATIONS,
    AugmentationSettings,
    augment,
)
from sftcore.foundations.randomness import derive_seed

_MOVING = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}
_NUM_PLACES = 5  # numbers of augment's that decide where pixels go, before those of colours


def recolour(images: Tensor, uniforms: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation as :func:`augment` changes them; nothing is moved.

    Args:
        images: [B, 3, S, S], float in [0, 1].
        uniforms: [B, NUM_UNIFORMS] from 0 to 1, see
            :func:`sftcore.data.pictures.augment.epoch_uniforms`.
        strength: one dial from 0 (the pictures as they are) to 1.

    Returns:
        [B, 3, S, S], float in [0, 1].
    """
    still = torch.full_like(uniforms, 0.5)  # in the middle: no angle, no zoom, no shift
    still[:, 0] = 1.0  # no mirror image
    still[:, _NUM_PLACES:] = uniforms[:, _NUM_PLACES:]
    return augment(images, still, strength, images.new_zeros(3))


def recolour_by_policy(
    images: Tensor, rows: np.ndarray, augmentation: AugmentationSettings, seed: int, epoch: int
) -> Tensor:
    """RandAugment or TrivialAugment as torchvision has them, without the operations that move.

    What the strength means is told in :func:`sftcore.data.pictures.augment.augment_by_policy`.

    Args:
        images: uint8 [B, 3, S, S], on the CPU.
        rows: drawn rows [B].
        augmentation: names the policy and its strength.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        uint8 [B, 3, S, S]; at strength 0 the pictures themselves.
    """
    if augmentation.strength == 0:
        return images
    from torchvision.transforms import v2

    if augmentation.policy == "randaugment":
        magnitude = round(augmentation.strength * RANDAUGMENT_MAX_MAGNITUDE)
        policy = v2.RandAugment(RANDAUGMENT_NUM_OPERATIONS, magnitude)
        chance = 1.0
    else:
        policy, chance = v2.TrivialAugmentWide(), augmentation.strength
    space = policy._AUGMENTATION_SPACE
    policy._AUGMENTATION_SPACE = {name: how for name, how in space.items() if name not in _MOVING}
    changed = []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global stream
        for image, row in zip(images, rows.tolist(), strict=True):
            torch.manual_seed(derive_seed(seed, "policy", epoch, row))
            is_chosen = bool(torch.rand(()) < chance)
            changed.append(policy(image) if is_chosen else image)
    return torch.stack(changed)
