"""From the grid of a study to the list of trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sftcore.data.portions import Portion
from sftcore.models.settings import ModelSettings
from sftcore.settings.grids import (
    ALL_TOGETHER_ROW,
    BASELINE_ROW,
    COMPOSED_ROW,
    PROBE_ROW,
    WITHOUT,
    Changes,
)
from sftcore.settings.studies import settings_of
from sftcore.settings.tree import Params, override
from sftcore.tasks.registry import TASKS
from sftcore.training.settings import TrainSettings

SCREEN = "screen"
CONFIRM = "confirm"
DATA_SIZE = "data_size"
STABILITY = "stability"
_FIRST_CONFIRMING = 1000  # number of the first replicate that the screen never saw
# Of every cell: seeds of single streams would hold what replicates vary, and nobody looks at the
# curve of a range test; one that is to find a rate runs all the same.
_OF_CELLS: Changes = {
    "train.seeds.init": None,
    "train.seeds.order": None,
    "train.seeds.augmentation": None,
    "train.range_test.enabled": False,
}

# What no training of the head alone needs.
_HEAD_ALONE: Changes = {
    "train.epochs": 0,
    "train.averaging.wise_ft": False,
    "train.averaging.swa_fraction": 0.0,
    "train.averaging.soup_size": 0,
    "train.features.co_tuning": 0.0,
    "model.trainable_blocks": 0,
    "model.stochastic_depth": 0.0,
}
# Logistic regression on the frozen features: the optimum of plain cross-entropy, strength chosen.
PROBE: Changes = {
    "train.epochs": 0,
    "train.head.method": "solve",
    "train.head.strength": "auto",
    "train.label_smoothing": 0.0,
    "train.imbalance.class_weighting": 0.0,
    "train.imbalance.logit_adjustment": 0.0,
    **_HEAD_ALONE,
}


def probe_changes(params: Params) -> Changes:
    """What makes a recipe the row to beat: its head alone, on the features as they are.

    A head that is one layer is put at its optimum. Another one is trained as the recipe has it, and
    for as many epochs as the recipe has in all.

    Args:
        params: with the recipe.
    """
    if TASKS[params.task].solves_head:
        return PROBE
    head = params.train.head.num_epochs + params.train.epochs
    return {**_HEAD_ALONE, "train.head.epochs": head}


@dataclass(frozen=True)
class Row:
    """One line of the study, trained in several replicates.

    Attributes:
        family: :data:`SCREEN`, :data:`CONFIRM`, :data:`DATA_SIZE` or :data:`STABILITY`.
        name: shown in tables and figures.
        changes: from what the family starts from, by dotted name.
        model: resolved parameters.
        train: resolved parameters.
        setting: of the row's name, counted from 1; rows of one name differ by it.
        fraction: of the training pictures.
        answer: to instability, by name; empty for other families.
    """

    family: str
    name: str
    changes: Changes
    model: ModelSettings
    train: TrainSettings
    setting: int = 1
    fraction: float = 1.0
    answer: str = ""

    @property
    def is_probe(self) -> bool:
        """Whether it is the head alone on the frozen features."""
        return self.name == PROBE_ROW


@dataclass(frozen=True)
class Cell:
    """One training: a row in one replicate.

    Attributes:
        row: of the study.
        replicate: its number; all rows of a replicate share pictures and seed.
        seed: of the training.
        portion: of the data.
    """

    row: Row
    replicate: int
    seed: int
    portion: Portion


def plan_screen(params: Params) -> list[Row]:
    """Every row with every setting that it lists, the baseline first.

    Raises:
        ParamsError: an override names no parameter or holds a value out of range.
    """
    screen = params.ablation.chosen.screen
    single = {name: settings_of(row)[0] for name, row in screen.rows.items()}
    tried = {name: settings_of(row) for name, row in screen.rows.items()}
    if screen.all_together:
        tried[ALL_TOGETHER_ROW] = [join_changes([single[name] for name in screen.all_together])]
    if screen.leave_one_out:
        for left_out in screen.all_together:
            rest = [single[name] for name in screen.all_together if name != left_out]
            tried[f"{WITHOUT}{left_out}"] = [join_changes(rest)]
    base = _override(params, screen.base, f"{params.ablation.origin}: screen.base")
    return [
        _resolve(base, SCREEN, name, changes, setting=number)
        for name, settings in tried.items()
        for number, changes in enumerate(settings, start=1)
    ]


def plan_confirmation(params: Params, best: Mapping[str, Changes]) -> list[Row]:
    """The user's recipe, the best rows on top of it, all of them at once, and the probe.

    Args:
        params: whose model and train are the recipe.
        best: changes by name, best first.

    Raises:
        ParamsError: a row does not fit the recipe.
    """
    rows = {BASELINE_ROW: {}, **best}
    together = join_changes(list(best.values()))
    if together not in rows.values():
        rows[COMPOSED_ROW] = together
    recipe = _override(params, {}, "")
    found = [_resolve(recipe, CONFIRM, name, changes) for name, changes in rows.items()]
    return [*found, _resolve(recipe, CONFIRM, PROBE_ROW, probe_changes(recipe))]


def plan_data_size(params: Params) -> list[Row]:
    """The recipe and the probe on parts of the pictures, with as many updates at each.

    A part f of the pictures is passed over 1/f times as often, and all else that is counted in
    epochs (patience, unfreezing, lengths of the schedule) takes as many updates too.
    """
    grid = params.ablation.chosen.data_size
    if grid is None:
        return []
    recipe = _override(params, {}, "")
    rows = []
    for fraction in grid.fractions:
        more = more_epochs(recipe.train, 1 / fraction)
        longer = override(recipe, more, f"{params.ablation.origin}: {DATA_SIZE}")
        for name, changes in ((BASELINE_ROW, {}), (PROBE_ROW, probe_changes(longer))):
            rows.append(_resolve(longer, DATA_SIZE, name, changes, fraction=fraction))
    return rows


def more_epochs(train: TrainSettings, factor: float) -> Changes:
    """What a recipe counts in epochs, so many times: for epochs of as many times fewer updates."""
    counts = {
        "epochs": train.epochs,
        "unfreeze_every_epochs": train.unfreeze_every_epochs,
        "stopping.patience": train.stopping.patience,
    }
    if train.head.method == "descend":
        counts["head.epochs"] = train.head.epochs
    schedule = train.schedule.in_more_epochs(factor).model_dump()
    return {f"train.{name}": round(count * factor) for name, count in counts.items()} | {
        f"train.schedule.{name}": value for name, value in schedule.items()
    }


def plan_stability(params: Params) -> list[Row]:
    """Every rate with every schedule and every answer, from the recipe; and the head alone."""
    grid = params.ablation.chosen.stability
    if grid is None:
        return []
    origin = f"{params.ablation.origin}: stability.base"
    recipe = _override(params, grid.base, origin)
    rows = [_resolve(recipe, STABILITY, PROBE_ROW, probe_changes(recipe))]
    for (answer, extra), schedule, rate in product(
        grid.answers.items(), grid.schedules, grid.learning_rates
    ):
        changes = {**extra, "train.learning_rate": rate, "train.schedule.name": schedule}
        name = f"{schedule} {rate:g} {answer}"
        rows.append(_resolve(recipe, STABILITY, name, changes, answer=answer))
    return rows


def join_changes(several: Sequence[Changes]) -> Changes:
    """Changes at once; of two that change the same, the one that comes first."""
    joined: Changes = {}
    for changes in several:
        joined = {**changes, **joined}
    return joined


def _override(params: Params, changes: Changes, origin: str) -> Params:
    """The recipe with some changes, as a cell trains it."""
    return override(params, {**_OF_CELLS, **changes}, origin)


def _resolve(
    base: Params,
    family: str,
    name: str,
    changes: Changes,
    *,
    setting: int = 1,
    fraction: float = 1.0,
    answer: str = "",
) -> Row:
    resolved = override(base, changes, f"{base.ablation.origin}: {family}.{name}")
    return Row(family, name, changes, resolved.model, resolved.train, setting, fraction, answer)


def plan_cells(rows: Sequence[Row], params: Params) -> list[Cell]:
    """Every row in its family's replicates.

    The screen and the map share theirs; the confirmation and the learning curve have others.

    Args:
        rows: of the study.
        params: the first seed, the parts of a replicate, and the replicates by family.
    """
    ablation, grid = params.ablation, params.ablation.chosen
    replicates = {
        SCREEN: range(grid.screen.num_replicates),
        STABILITY: range(grid.stability.num_replicates if grid.stability else 0),
        CONFIRM: _confirming(grid.confirm.num_replicates),
        DATA_SIZE: _confirming(grid.data_size.num_replicates if grid.data_size else 0),
    }
    return [
        Cell(
            row,
            number,
            params.seed + number,
            Portion(number, ablation.judge_fraction, ablation.choose_fraction, row.fraction),
        )
        for row in rows
        for number in replicates[row.family]
    ]


def _confirming(count: int) -> range:
    return range(_FIRST_CONFIRMING, _FIRST_CONFIRMING + count)
