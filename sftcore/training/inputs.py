"""What the trained part of the network is fed: examples, or features of its frozen beginning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import rows_of, split_batches
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.models.network import Network
from sftcore.models.values import Values, asked_of, join, num_bytes, take
from sftcore.optimization.linear_head import LinearHead
from sftcore.training.views import PLAIN, Examples, View

FEATURE_BATCH_SIZE = 32  # more only needs more memory: a CPU is busy with this
FEATURE_BUDGET_BYTES = 512 << 20
NUM_KEPT_HEADS = 128  # of 0.2 MB each at 1280 features and 18 classes
Reader = Callable[[np.ndarray], Values]


@dataclass
class FeatureCache:
    """Features of frozen beginnings, kept between trainings that share them.

    Attributes:
        budget_bytes: nothing more is kept beyond this.
        values: features by (identity of the frozen part, view of the examples).
        row_bytes: most that one example's features take, by (identity of the frozen part).
        heads: solved heads by a hash of their problem, the newest last.
    """

    budget_bytes: int
    values: dict[tuple[str | int | float, ...], Values] = field(default_factory=dict)
    row_bytes: dict[tuple[str, int], int] = field(default_factory=dict)
    heads: dict[str, LinearHead] = field(default_factory=dict)

    def keep(self, key: tuple[str | int | float, ...], features: Values) -> None:
        """Keep features if they fit the budget."""
        used = sum(num_bytes(kept) for kept in self.values.values())
        if used + num_bytes(features) <= self.budget_bytes:
            self.values[key] = features

    def keep_head(self, key: str, head: LinearHead) -> None:
        """Keep a solved head; the oldest give way."""
        self.heads[key] = head
        while len(self.heads) > NUM_KEPT_HEADS:
            del self.heads[next(iter(self.heads))]


class Inputs:
    """Gives what block ``first_block`` takes, computing the frozen blocks before it only once.

    A frozen block has no gradient and no moving statistics, so its output is a function of the
    example and can be kept. The network's frozen blocks must be in evaluation mode.

    Args:
        network: whose blocks are run.
        examples: of the store.
        first_block: position of the first block that is not computed here.
        pool: rows of the store that trainings with this cache draw from.
        frozen_identity: names the parameters of the frozen part.
        cache: that keeps features.
        stops: positions of blocks whose inputs will be asked for later; what plain examples
            are there is kept on the way to ``first_block``.

    Attributes:
        first_block: position of the first block that is trained.
    """

    def __init__(
        self,
        network: Network,
        examples: Examples,
        *,
        first_block: int,
        pool: np.ndarray,
        frozen_identity: str,
        cache: FeatureCache,
        stops: Sequence[int] = (),
    ) -> None:
        self._network = network
        self._examples = examples
        self.first_block = first_block
        self._pool = pool
        self._identity = frozen_identity
        self._cache = cache
        self._stops = sorted({stop for stop in stops if stop < first_block})

    def reader(self, rows: np.ndarray, view: View = PLAIN) -> Reader:
        """A function from some of ``rows`` to the inputs [B, ...] of block ``first_block``.

        Args:
            rows: of the store, or drawn rows as :func:`sftcore.data.loader.count_occurrences` has
                them; all that will be asked for. Plain examples of the whole pool are kept if they
                fit, so that trainings on other parts of it need not compute them.
            view: what the examples look like.
        """
        entry = self._network.entry(self.first_block)
        if entry == 0:
            return lambda batch: self._examples.read(batch, view)
        is_plain = not view.key  # then a row looks the same however often it is drawn
        if is_plain and self._fits(self.first_block, len(self._pool)):
            rows = self._pool
        elif not self._fits(self.first_block, len(rows)):
            return lambda batch: self._compute(batch, view)[-1]
        rows = self.arranged(np.unique(rows_of(rows)) if is_plain else rows)
        features = self._features(rows, view)
        sorter = np.argsort(rows)

        def read(batch: np.ndarray) -> Values:
            wanted = rows_of(batch) if is_plain else batch
            position = sorter[np.searchsorted(rows, wanted, sorter=sorter)]
            return take(features, torch.from_numpy(position).to(features.device))

        return read

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """The same drawn rows in an order in which neighbours are of like size."""
        return self._examples.arranged(rows)

    def features(self, rows: np.ndarray) -> Tensor:
        """What the head takes of plain examples [N, D]; ``first_block`` must be the head's."""
        return asked_of(self.reader(rows)(rows))

    def _fits(self, block: int, num_rows: int) -> bool:
        place = self._identity, self._network.entry(block)
        if place not in self._cache.row_bytes:
            largest = self._examples.read(np.array([self._examples.largest(self._pool)]), PLAIN)
            with torch.no_grad():
                inputs = self._network.run_blocks(largest, 0, block)
            self._cache.row_bytes[place] = num_bytes(inputs)
        return self._cache.row_bytes[place] * num_rows <= self._cache.budget_bytes

    def _features(self, rows: np.ndarray, view: View) -> Values:
        key = self._key(self.first_block, rows, view)
        if key in self._cache.values:
            return self._cache.values[key]
        wanted = [] if view.key else [stop for stop in self._stops if self._is_wanted(stop, rows)]
        batches = split_batches(rows, FEATURE_BATCH_SIZE)
        passed = zip(*[self._compute(batch, view, wanted) for batch in batches], strict=True)
        *on_the_way, features = [join(parts) for parts in passed]
        self._cache.keep(key, features)
        for stop, kept in zip(wanted, on_the_way, strict=True):
            self._cache.keep(self._key(stop, rows, view), kept)
        return features

    def _is_wanted(self, stop: int, rows: np.ndarray) -> bool:
        is_an_example = self._network.entry(stop) == 0
        is_kept = self._key(stop, rows, PLAIN) in self._cache.values
        return not is_an_example and not is_kept and self._fits(stop, len(rows))

    def _key(self, block: int, rows: np.ndarray, view: View) -> tuple[str | int | float, ...]:
        entry = self._network.entry(block)
        return (self._identity, entry, sha256_bytes(rows.tobytes()), *view.key)

    @torch.no_grad()
    def _compute(self, rows: np.ndarray, view: View, stops: Sequence[int] = ()) -> list[Values]:
        """What the blocks ``stops`` and ``first_block`` take of examples."""
        values, block, passed = self._examples.read(rows, view), 0, []
        for stop in (*stops, self.first_block):
            values = self._network.run_blocks(values, block, stop)
            passed.append(values)
            block = stop
        return passed
