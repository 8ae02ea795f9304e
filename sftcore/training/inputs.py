"""What the trained part of the network is fed: pictures, or features of its frozen beginning."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sftcore.artifacts import sha256_bytes
from sftcore.data.augment import augment, epoch_uniforms
from sftcore.data.loader import normalize, split_batches, to_unit_range
from sftcore.models.network import Network

FEATURE_BATCH_SIZE = 32  # more only needs more memory: a CPU is busy with this
FEATURE_BUDGET_BYTES = 512 << 20
Reader = Callable[[np.ndarray], Tensor]


@dataclass
class FeatureCache:
    """Features of frozen beginnings, kept between trainings that share them.

    Attributes:
        budget_bytes: nothing more is kept beyond this.
        tensors: features by (identity of the frozen part, draw of the augmentation).
    """

    budget_bytes: int
    tensors: dict[tuple[str | int | float, ...], Tensor] = field(default_factory=dict)

    def keep(self, key: tuple[str | int | float, ...], features: Tensor) -> None:
        """Keep features if they fit the budget."""
        used = sum(tensor.nbytes for tensor in self.tensors.values())
        if used + features.nbytes <= self.budget_bytes:
            self.tensors[key] = features


@dataclass(frozen=True)
class Pictures:
    """The pictures of a store and how they are made ready.

    Attributes:
        images: uint8 [N, S, S, 3].
        mean: per channel, of the weights.
        std: per channel, of the weights.
        background: colour in [0, 255] that augmentation uncovers.
        seed: decides the augmentation.
        device: where the network is.
    """

    images: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: tuple[int, int, int]
    seed: int
    device: torch.device

    def read(self, rows: np.ndarray, augmentation: float, epoch: int) -> Tensor:
        """Normalised pictures [B, 3, S, S] of some rows, augmented by their own random numbers."""
        images = to_unit_range(self.images[rows], self.device)
        if augmentation > 0:
            uniforms = epoch_uniforms(len(self.images), self.seed, epoch)[rows]
            colour = torch.tensor(self.background, device=self.device) / 255
            numbers = torch.from_numpy(uniforms).to(self.device)
            images = augment(images, numbers, augmentation, colour)
        return normalize(images, self.mean, self.std)


class Inputs:
    """Gives what block ``first_block`` takes, computing the frozen blocks before it only once.

    A frozen block has no gradient and no moving statistics, so its output is a function of the
    picture and can be kept. The network's frozen blocks must be in evaluation mode.
    """

    def __init__(
        self,
        network: Network,
        pictures: Pictures,
        *,
        first_block: int,
        frozen_identity: str,
        cache: FeatureCache,
    ) -> None:
        self._network = network
        self._pictures = pictures
        self._first_block = first_block
        self._identity = frozen_identity
        self._cache = cache

    def reader(self, rows: np.ndarray, *, augmentation: float = 0.0, epoch: int = 0) -> Reader:
        """A function from some of ``rows`` to the inputs [B, ...] of block ``first_block``.

        Args:
            rows: of the store; all that will be asked for.
            augmentation: strength from 0 (off) to 1.
            epoch: decides the augmentation.
        """
        if self._first_block == 0:
            return lambda batch: self._pictures.read(batch, augmentation, epoch)
        one = self._compute(rows[:1], augmentation, epoch)
        if one.nbytes * len(rows) > self._cache.budget_bytes:
            return lambda batch: self._compute(batch, augmentation, epoch)
        features = self._features(rows, augmentation, epoch)
        position = np.full(len(self._pictures.images), -1)
        position[rows] = np.arange(len(rows))
        return lambda batch: features[torch.from_numpy(position[batch]).to(features.device)]

    def _features(self, rows: np.ndarray, augmentation: float, epoch: int) -> Tensor:
        draw = (self._pictures.seed, epoch, augmentation) if augmentation > 0 else ()
        key = (self._identity, self._first_block, sha256_bytes(rows.tobytes()), *draw)
        if key not in self._cache.tensors:
            batches = split_batches(rows, FEATURE_BATCH_SIZE)
            features = torch.cat([self._compute(batch, augmentation, epoch) for batch in batches])
            self._cache.keep(key, features)
            return features
        return self._cache.tensors[key]

    @torch.no_grad()
    def _compute(self, rows: np.ndarray, augmentation: float, epoch: int) -> Tensor:
        pictures = self._pictures.read(rows, augmentation, epoch)
        return self._network.run_blocks(pictures, 0, self._first_block)
