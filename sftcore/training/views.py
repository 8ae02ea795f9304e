"""What the examples of one epoch look like: plain, augmented, mixed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import normalize, rows_of, to_unit_range
from sftcore.data.pictures.augment import (
    AugmentationSettings,
    augment,
    augment_by_policy,
    draw_erasing,
    epoch_uniforms,
    erase,
)
from sftcore.models.values import Values
from sftcore.regularization.mixing import MixingDraw, draw_mixing, mix_pictures
from sftcore.tasks.contract import OwnTargets


@dataclass(frozen=True)
class View:
    """One look at the examples; equal keys mean equal examples.

    Attributes:
        augmentation: how they are changed.
        seed: of the training.
        epoch: counted from 0.
        mixing: gives with whom drawn rows are mixed; None without mixing.
        pool: rows that lend each other objects; None without any.
    """

    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    seed: int = 0
    epoch: int = 0
    mixing: Callable[[np.ndarray], MixingDraw] | None = field(default=None, compare=False)
    pool: np.ndarray | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str | int | float, ...]:
        """What the examples of given rows depend on, empty where they are plain."""
        if self.augmentation.is_off:
            return ()
        return (self.seed, self.epoch, *self.augmentation.model_dump().values())


PLAIN = View()


class Examples(Protocol):
    """The examples of a store, and how they are made ready for a network."""

    def view(
        self, augmentation: AugmentationSettings, rows: np.ndarray, seed: int, epoch: int
    ) -> View:
        """The look of the training rows in one epoch.

        Args:
            augmentation: how they are changed.
            rows: the training rows, which are mixed with each other.
            seed: of the training.
            epoch: counted from 0.
        """

    @property
    def own_targets(self) -> OwnTargets | None:
        """Gives the targets [B, ...] of rows that the examples hold themselves; None elsewhere."""

    def moved_targets(self, rows: np.ndarray, view: View) -> Tensor | None:
        """Targets [B, ...] of drawn rows as the view has them, where they change with it.

        None where they are those of the rows.
        """

    def largest(self, rows: np.ndarray) -> int:
        """The drawn row whose example needs the most memory."""

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """The same drawn rows in an order in which neighbours are of like size."""

    def not_seen(self, rows: np.ndarray) -> str:
        """A sentence on what the network does not see of these examples; empty if it sees all."""

    def read(self, rows: np.ndarray, view: View) -> Values:
        """What the network takes [B, ...] of some drawn rows, as the view has them."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a store and how they are made ready.

    Attributes:
        images: uint8 [N, S, S, 3].
        mean: per channel, of the weights.
        std: per channel, of the weights.
        background: colour in [0, 255] that augmentation uncovers.
        device: where the network is.
    """

    images: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: tuple[int, int, int]
    device: torch.device

    own_targets = None

    def moved_targets(self, rows: np.ndarray, view: View) -> None:
        """None: a picture keeps its target however it is changed."""

    def view(
        self, augmentation: AugmentationSettings, rows: np.ndarray, seed: int, epoch: int
    ) -> View:
        """See :class:`Examples`."""
        mixing = None
        if augmentation.mixup > 0 or augmentation.cutmix > 0:
            mixing = partial(
                draw_mixing,
                pool=rows,
                side=self.images.shape[1],
                mixup_alpha=augmentation.mixup,
                cutmix_alpha=augmentation.cutmix,
                seed=seed,
                epoch=epoch,
            )
        return View(augmentation, seed, epoch, mixing)

    def largest(self, rows: np.ndarray) -> int:
        """Any: all pictures have one size."""
        return int(rows[0])

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """As they are: all pictures have one size."""
        return rows

    def not_seen(self, rows: np.ndarray) -> str:
        """Nothing: a picture is seen whole."""
        return ""

    def read(self, rows: np.ndarray, view: View) -> Tensor:
        """Normalised pictures [B, 3, S, S] of some drawn rows, as the view has them.

        A partner in mixing looks as it does where it is drawn first.
        """
        images = self._changed(rows, view)
        if view.mixing is not None:
            draw = view.mixing(rows)
            images = mix_pictures(images, self._changed(draw.partners, view), draw)
        return normalize(images, self.mean, self.std)

    def _changed(self, rows: np.ndarray, view: View) -> Tensor:
        """Pictures in [0, 1], augmented by the numbers of their own drawn rows."""
        how = view.augmentation
        pictures = self.images[rows_of(rows)]
        if how.strength > 0 and how.policy != "basic":
            channels_first = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
            changed = augment_by_policy(
                channels_first, rows, how, view.seed, view.epoch, self.background
            )
            pictures = changed.permute(0, 2, 3, 1).numpy()
        images = to_unit_range(pictures, self.device)
        if how.strength > 0 and how.policy == "basic":
            uniforms = epoch_uniforms(rows, view.seed, view.epoch)
            colour = torch.tensor(self.background, device=self.device) / 255
            images = augment(
                images, torch.from_numpy(uniforms).to(self.device), how.strength, colour
            )
        if how.erasing > 0:
            side = self.images.shape[1]
            boxes = draw_erasing(rows, side, how.erasing, view.seed, view.epoch)
            images = erase(
                images, torch.from_numpy(boxes).to(self.device), images.new_tensor(self.mean)
            )
        return images
