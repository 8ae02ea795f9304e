"""From the grid in params.yaml to the list of trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from sftcore.params import override
from sftcore.sections import BASELINE_ROW, ModelParams, Params, Scalar, TrainParams

REGULARIZATION = "regularization"
LEARNING_RATE = "learning_rate"


@dataclass(frozen=True)
class Row:
    """One line of the study, trained with several seeds.

    Attributes:
        family: :data:`REGULARIZATION` or :data:`LEARNING_RATE`.
        name: shown in tables and figures.
        changes: from the base, by dotted name.
        model: resolved parameters.
        train: resolved parameters.
    """

    family: str
    name: str
    changes: dict[str, Scalar]
    model: ModelParams
    train: TrainParams

    @property
    def is_baseline(self) -> bool:
        """Whether the regularization rows are compared with this one."""
        return self.family == REGULARIZATION and self.name == BASELINE_ROW


@dataclass(frozen=True)
class Cell:
    """One training: a row with one seed."""

    row: Row
    seed: int


def plan_rows(params: Params) -> list[Row]:
    """Every row of the study, the baseline among them.

    Raises:
        ParamsError: an override names no parameter or holds a value out of range.
    """
    grid = params.ablation
    base = override(params, grid.base, "ablation.base")
    changed: list[tuple[str, str, dict[str, Scalar]]] = [
        (REGULARIZATION, name, changes) for name, changes in grid.regularization.items()
    ]
    for schedule, rate in product(grid.schedules, grid.learning_rates):
        setting: dict[str, Scalar] = {"train.learning_rate": rate, "train.schedule": schedule}
        changed.append((LEARNING_RATE, f"{schedule} {rate:g}", setting))
    rows = []
    for family, name, changes in changed:
        resolved = override(base, changes, f"ablation.{family}.{name}")
        rows.append(Row(family, name, changes, resolved.model, resolved.train))
    return rows


def plan_cells(rows: list[Row], seed: int, num_seeds: Mapping[str, int]) -> list[Cell]:
    """Every row with its seeds, ``seed``, ``seed + 1``, ...

    Args:
        rows: of the study.
        seed: the first one.
        num_seeds: repetitions by family.
    """
    return [Cell(row, seed + offset) for row in rows for offset in range(num_seeds[row.family])]
