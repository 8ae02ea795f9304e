"""From the grid in params.yaml to the list of trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from sftcore.data.portions import Portion
from sftcore.grids import ALL_TOGETHER_ROW, BASELINE_ROW
from sftcore.parameter_types import Scalar
from sftcore.params import override, settings_of
from sftcore.sections import ModelParams, Params, TrainParams

SEARCH = "search"
REGULARIZATION = "regularization"
LEAVE_ONE_OUT = "leave_one_out"
DATA_SIZE = "data_size"
FOLD = "fold"
STABILITY = "stability"
SPREAD = "spread"
SOURCES = ("init", "order", "augmentation")  # of randomness
ALL_SOURCES = "all"
_SEARCH_SEED_OFFSET = 1000  # seeds of the search are none of those that are reported


@dataclass(frozen=True)
class Row:
    """One line of the study, trained with several seeds.

    Attributes:
        family: :data:`SEARCH`, :data:`REGULARIZATION`, :data:`LEAVE_ONE_OUT`, :data:`DATA_SIZE`,
            :data:`FOLD`, :data:`STABILITY` or :data:`SPREAD`.
        name: shown in tables and figures.
        changes: from the base, by dotted name.
        model: resolved parameters.
        train: resolved parameters.
        portion: of the data.
        answer: to instability, by name; empty for other families.
    """

    family: str
    name: str
    changes: dict[str, Scalar]
    model: ModelParams
    train: TrainParams
    portion: Portion = field(default_factory=Portion)
    answer: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether the regularization rows are compared with this one."""
        return self.family == REGULARIZATION and self.name == BASELINE_ROW


@dataclass(frozen=True)
class Cell:
    """One training: a row with one seed."""

    row: Row
    seed: int


Changes = Mapping[str, dict[str, Scalar]]


def plan_search(params: Params) -> dict[str, list[Row]]:
    """For every row of the grid that lists several settings, a row per setting.

    Raises:
        ParamsError: an override names no parameter or holds a value out of range.
    """
    found = {}
    for name, row in params.ablation.chosen.regularization.items():
        settings = settings_of(row)
        if len(settings) > 1:
            found[name] = [
                _resolve(params, SEARCH, f"{name}, setting {number}", changes)
                for number, changes in enumerate(settings, start=1)
            ]
    return found


def plan_rows(params: Params, chosen: Changes) -> list[Row]:
    """Every row of the study that is reported, the baseline among them.

    Args:
        params: the study's base and grid.
        chosen: of the rows that list several settings, the one that the search found best.

    Raises:
        ParamsError: an override names no parameter or holds a value out of range.
    """
    grid = params.ablation.chosen
    single = {name: chosen.get(name, settings_of(r)[0]) for name, r in grid.regularization.items()}
    rows = [_resolve(params, REGULARIZATION, name, row) for name, row in single.items()]
    if grid.all_together:
        rows.append(
            _resolve(params, REGULARIZATION, ALL_TOGETHER_ROW, _join(single, grid.all_together))
        )
    if grid.leave_one_out:
        for left_out in grid.all_together:
            rest = [name for name in grid.all_together if name != left_out]
            name = f"without {left_out}"
            rows.append(_resolve(params, LEAVE_ONE_OUT, name, _join(single, rest)))
    by_name = {row.name: row for row in rows if row.family == REGULARIZATION}
    if grid.data_size:
        for name, fraction in product(grid.data_size.rows, grid.data_size.fractions):
            part = Portion(fraction=fraction)
            rows.append(replace(by_name[name], family=DATA_SIZE, portion=part))
    if grid.cross_validation:
        count = grid.cross_validation.num_folds
        for name, fold in product(grid.cross_validation.rows, range(count)):
            part = Portion(num_folds=count, fold=fold)
            rows.append(replace(by_name[name], family=FOLD, portion=part))
    return [*rows, *_stability_rows(params), *_spread_rows(params)]


def _stability_rows(params: Params) -> list[Row]:
    """Every rate with every schedule and every answer."""
    grid = params.ablation.chosen.stability
    rows = []
    for (answer, extra), schedule, rate in product(
        grid.answers.items(), grid.schedules, grid.learning_rates
    ):
        changes = {**extra, "train.learning_rate": rate, "train.schedule": schedule}
        name = f"{schedule} {rate:g} {answer}"
        row = _resolve(params, STABILITY, name, {**grid.base, **changes})
        rows.append(replace(row, changes=changes, answer=answer))
    return rows


def _spread_rows(params: Params) -> list[Row]:
    """A row in which all seeds change, and one for each source of randomness alone.

    A seed that changes is that of the cell, whatever params.yaml sets it to.
    """
    spread = params.ablation.chosen.spread
    if spread is None:
        return []
    rows = []
    for moving in (ALL_SOURCES, *SOURCES):
        seeds: dict[str, Scalar] = {
            f"train.seed_{source}": None if moving in (source, ALL_SOURCES) else params.seed
            for source in SOURCES
        }
        rows.append(_resolve(params, SPREAD, moving, {**spread.base, **seeds}))
    return rows


def _join(single: Changes, names: Sequence[str]) -> dict[str, Scalar]:
    """The changes of several rows at once; of two that change the same, the later one's."""
    return {key: value for name in names for key, value in single[name].items()}


def _resolve(params: Params, family: str, name: str, changes: dict[str, Scalar]) -> Row:
    # Seeds of single streams would hold what repetitions are to vary.
    free: dict[str, Scalar] = {f"train.seed_{source}": None for source in SOURCES}
    base = override(params, {**free, **params.ablation.base}, "ablation.base")
    resolved = override(base, changes, f"ablation.{params.ablation.grid}.{family}.{name}")
    return Row(family, name, changes, resolved.model, resolved.train)


def plan_cells(rows: Sequence[Row], params: Params) -> list[Cell]:
    """Every row with its seeds, ``seed``, ``seed + 1``, ...; those of the search are others.

    Args:
        rows: of the study.
        params: the first seed, and the repetitions by family.
    """
    grid = params.ablation.chosen
    num_seeds = {
        SEARCH: grid.num_search_seeds,
        REGULARIZATION: grid.num_seeds,
        LEAVE_ONE_OUT: grid.num_seeds,
        DATA_SIZE: grid.data_size.num_seeds if grid.data_size else 0,
        FOLD: 1,
        STABILITY: grid.stability.num_seeds,
        SPREAD: grid.spread.num_seeds if grid.spread else 0,
    }
    return [
        Cell(row, params.seed + offset + (_SEARCH_SEED_OFFSET if row.family == SEARCH else 0))
        for row in rows
        for offset in range(num_seeds[row.family])
    ]
