"""Cells without any training: losses drawn with given variances, for the study's calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.head_cells import REPLICATES_PER_STUDY
from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import COMPOSED_ROW, PROBE_ROW, Cell
from sftcore.foundations.randomness import numpy_stream
from sftcore.settings.grids import BASELINE_ROW
from sftcore.training.records import EpochRecord, candidate_of

_LOSS = 1.0  # nats, of the baseline
_PROBE_COSTS = 1.0  # nats, so that rows alone decide what is advised
_SCORES = {"train_accuracy": 0.0, "val_accuracy": 0.0}
_RECORD = EpochRecord(0, "head", 0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, _SCORES)
_HISTORY = [_RECORD, replace(_RECORD, epoch=1)]


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the difference of two rows, in nats.

    Attributes:
        between: pools of pictures: what a study's replicates share, and cannot see.
        within: a pool: other parts of it that train and judge, and the seed.
    """

    between: float
    within: float


@dataclass(frozen=True)
class SimulatedCells:
    """Draws the cells of one study: the injected ``train_cells``.

    Attributes:
        study: number; decides all draws.
        spread: of differences; a row has half of each variance by itself.
        effects: true shifts of the loss by row; the composed row has their sum.
        num_train: pictures.
        num_judge: pictures.
    """

    study: int
    spread: Spread
    effects: Mapping[str, float]
    num_train: int
    num_judge: int

    def __call__(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Results of cells, in their order."""
        return [self._draw(cell) for cell in cells]

    def truth(self, row: str) -> float:
        """True difference of a row from the baseline."""
        whole = sum(self.effects.values()) if row == COMPOSED_ROW else 0.0
        return self.effects.get(row, whole)

    def _draw(self, cell: Cell) -> CellResult:
        name = cell.row.name
        of_pool = numpy_stream(self.study, "pool", name).normal(0, self.spread.between / 2**0.5)
        number = self.study * REPLICATES_PER_STUDY + cell.replicate
        of_cell = numpy_stream(number, "cell", name).normal(0, self.spread.within / 2**0.5)
        shared = numpy_stream(number, "replicate").normal(0, self.spread.within)
        shift = _PROBE_COSTS if name == PROBE_ROW else self.truth(name)
        loss = _LOSS + shared + float(of_pool + of_cell) + shift * (name != BASELINE_ROW)
        return CellResult(
            cell=cell, key="", history=_HISTORY, best_epoch=0, diverged="",
            candidates=[candidate_of(_RECORD)], chosen=0,
            judged={"loss": loss}, last={"loss": loss},
            num_train=self.num_train, num_judge=self.num_judge, num_choose=self.num_judge,
        )  # fmt: skip
