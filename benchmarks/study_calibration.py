"""The study as a measuring instrument: ``python -m benchmarks.study_calibration``.

Hundreds of whole studies (:func:`sftcore.ablation.study.conduct`: screen, confirmation, verdict)
whose truth is known, because their trainings are injected:

``luck``: heads on real features; all rows are the baseline and differ by their seeds alone.
``methods``: heads whose rows differ, with the mean difference over all pools taken off: no row is
better, but a pool of pictures favours one by chance, which is what the correction is for.
``simulated``: drawn losses with the variances that ``methods`` measured.
``planted``: rows with a true effect of several sizes, drawn and real (fewer wrong labels).

Every study has its own pool, replicates and seeds. Prints Markdown tables; writes features under
``.sft`` alone. Equal arguments give equal tables.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.head_cells import HeadCells, Recipe, head_loss, recipe_of
from benchmarks.pools import Population, fashion_mnist, shipped
from benchmarks.simulated_cells import SimulatedCells, Spread
from benchmarks.study_tally import (
    POWER_HEAD,
    TALLY_HEAD,
    StudyFound,
    found_in_80_percent,
    measure_power,
    run_study,
    tally_row,
)
from sftcore.ablation.plan import Cell, join_changes
from sftcore.grids import BASELINE_ROW, Changes
from sftcore.params import check_params, load_params, override
from sftcore.pipeline.paths import PREPARED
from sftcore.sections import Params

RECIPE: Changes = {"train.learning_rate": 0.1, "train.range_test": False}
HARMLESS: dict[str, Changes] = {  # no head heeds them
    "window": {"train.guard_window": 60},
    "snapshots": {"train.guard_snapshot_updates": 20},
    "incidents": {"train.guard_max_incidents": 30},
    "loss_z": {"train.guard_loss_z": 9.0},
    "norm_z": {"train.guard_norm_z": 11.0},
    "patience": {"train.schedule_patience": 3},
}
FEW = {name: HARMLESS[name] for name in ("snapshots", "incidents")}
METHODS: dict[str, Changes] = {
    "rate": {"train.learning_rate": 0.05},
    "weight_decay": {"train.weight_decay": 0.01},
    "label_smoothing": {"train.label_smoothing": 0.1},
    "dropout": {"model.dropout": 0.3},
}
WRONG = (0.1, 0.2, 0.4, 0.6)  # parts of the labels, which the planted row has right
SHIFTS = (0.0, 0.02, 0.05, 0.1, 0.2)  # nats
PLANTED = "planted"
NUM_TRUTH_REPLICATES = 3
FIRST_TRUTH_POOL = 500_000  # numbers of pools that no study draws


@dataclass(frozen=True)
class Bench:
    """What the parts need.

    Attributes:
        params: of the repository, with the head's recipe and a small tree.
        num: of A/A studies.
        num_planted: studies by size of a planted effect.
        num_pools: pools that a true effect is measured on.
        jobs: processes.
    """

    params: Params
    num: int
    num_planted: int
    num_pools: int
    jobs: int

    def each(self, function: Callable[[int], Any], count: int) -> list[Any]:
        """The function of 0, 1, ... in their order."""
        return list(Parallel(n_jobs=self.jobs)(delayed(function)(i) for i in range(count)))


def with_rows(params: Params, rows: Mapping[str, Changes], recipe: Changes) -> Params:
    """A recipe whose study screens these rows, and has nothing but screen and confirmation."""
    tree = override(params, {**RECIPE, **recipe}, "recipe").model_dump()
    grid = tree["ablation"]["quick"]
    grid["screen"] |= {
        "rows": {BASELINE_ROW: {}, **rows}, "all_together": [], "leave_one_out": False,
    }  # fmt: skip
    grid |= {"data_size": None, "stability": None}
    tree["ablation"] |= {"grid": "quick", "metric": "loss", "full": grid}
    return check_params(tree, "study_calibration")


def head_study(
    study: int,
    params: Params,
    population: Population,
    taken_off: Mapping[Recipe, float],
    truths: Mapping[Recipe, float],
) -> StudyFound:
    """One study of heads."""
    ablation = params.ablation
    cells = HeadCells(
        population, study, ablation.judge_fraction, ablation.choose_fraction, taken_off
    )

    def truth(cell: Cell) -> float:
        return truths.get(recipe_of(cell.row.model, cell.row.train), 0.0)

    return run_study(params, cells, population.num_classes, truth)


def simulated_study(
    study: int, params: Params, spread: Spread, effects: Mapping[str, float], sizes: tuple[int, int]
) -> StudyFound:
    """One study of drawn losses."""
    cells = SimulatedCells(study, spread, effects, *sizes)
    return run_study(params, cells, 10, lambda cell: cells.truth(cell.row.name))


def measure_effects(
    bench: Bench, params: Params, population: Population, recipes: Sequence[Recipe]
) -> np.ndarray:
    """Differences of recipes from the first one on pools of their own.

    Returns:
        [recipes, pools, replicates], in nats.
    """
    fractions = params.ablation.judge_fraction, params.ablation.choose_fraction
    losses = bench.each(
        partial(_losses, population=population, fractions=fractions, recipes=recipes),
        bench.num_pools,
    )
    found = np.moveaxis(np.array(losses), -1, 0)
    return found - found[:1]


def _losses(
    pool: int, population: Population, fractions: tuple[float, float], recipes: Sequence[Recipe]
) -> np.ndarray:
    cells = HeadCells(population, FIRST_TRUTH_POOL + pool, *fractions)
    return np.array([
        [head_loss(population, cells.parts(replicate), recipe, cells.study, number)
         for number, recipe in enumerate(recipes)]
        for replicate in range(NUM_TRUTH_REPLICATES)
    ])  # fmt: skip


def components(differences: np.ndarray) -> Spread:
    """Spread of differences [pools, replicates], by analysis of variance (Fisher, 1925)."""
    num = differences.shape[1]
    within = float(differences.var(axis=1, ddof=1).mean())
    between = float(differences.mean(axis=1).var(ddof=1)) - within / num
    return Spread(max(0.0, between) ** 0.5, within**0.5)


def luck(bench: Bench, population: Population) -> None:
    """All rows are the baseline."""
    params = with_rows(bench.params, HARMLESS, {})
    study = partial(head_study, params=params, population=population, taken_off={}, truths={})
    found = bench.each(study, bench.num)
    print(tally_row(f"luck, {population.name}", found), flush=True)


def methods(bench: Bench, population: Population) -> tuple[Spread, tuple[int, int]]:
    """Rows that differ, and are worth the same in the mean over all pools."""
    params = with_rows(bench.params, METHODS, {})
    pairs = [join_changes([METHODS[a], METHODS[b]]) for a, b in combinations(METHODS, 2)]
    names = [BASELINE_ROW, *METHODS, *(" + ".join(pair) for pair in combinations(METHODS, 2))]
    resolved = [override(params, changes, "row") for changes in ({}, *METHODS.values(), *pairs)]
    recipes = [recipe_of(each.model, each.train) for each in resolved]
    differences = measure_effects(bench, params, population, recipes)
    effects = dict(zip(recipes, differences.mean(axis=(1, 2)).tolist(), strict=True))
    study = partial(head_study, params=params, population=population, taken_off=effects, truths={})
    found = bench.each(study, bench.num)
    print(tally_row(f"methods of equal worth, {population.name}", found))
    print("\n| row | true difference, nats | between pools, σ | within, σ | ratio of variances |")
    print("|---|---|---|---|---|")
    spreads = [components(each) for each in differences[1:]]
    for name, each, spread in zip(names[1:], differences[1:], spreads, strict=True):
        ratio = spread.between**2 / spread.within**2
        print(f"| {name} | {each.mean():+.4f} | {spread.between:.4f} | {spread.within:.4f} "
              f"| {ratio:.2f} |")  # fmt: skip
    print(flush=True)
    single = spreads[: len(METHODS)]
    spread = Spread(*(
        float(np.mean([getattr(s, name) ** 2 for s in single])) ** 0.5
        for name in ("between", "within")
    ))  # fmt: skip
    parts = HeadCells(population, 0, params.ablation.judge_fraction,
                      params.ablation.choose_fraction).parts(0)  # fmt: skip
    return spread, (len(parts.train), len(parts.judge))


def simulated(bench: Bench, spread: Spread, sizes: tuple[int, int]) -> None:
    """Drawn losses, with several ratios of the variances."""
    params = with_rows(bench.params, HARMLESS, {})
    assumed = (sizes[1] / sizes[0]) ** 0.5
    for name, between in (
        ("no pool favours a row", 0.0),
        ("as measured", spread.between),
        ("ratio n_judge/n_train", assumed * spread.within),
    ):
        study = partial(
            simulated_study, params=params, spread=Spread(between, spread.within),
            effects={}, sizes=sizes,
        )  # fmt: skip
        print(tally_row(f"simulated, {name}", bench.each(study, bench.num)), flush=True)


def planted(bench: Bench, spread: Spread, sizes: tuple[int, int], population: Population) -> None:
    """Power by size of a true effect."""
    params = with_rows(bench.params, {PLANTED: {"train.guard_window": 70}, **FEW}, {})
    powers = []
    print(POWER_HEAD)
    for shift in SHIFTS:
        study = partial(
            simulated_study, params=params, spread=spread, effects={PLANTED: -shift}, sizes=sizes
        )
        found = bench.each(study, bench.num_planted)
        powers.append(measure_power(f"drawn, {shift:g} nats", PLANTED, found))
        print(powers[-1].line, flush=True)
    last = powers[-1].visible
    print(f"\nFound in 80 %: {found_in_80_percent(powers):.3f}; called visible: {last:.3f}.\n")
    print(POWER_HEAD)
    powers = [_cleaner_labels(bench, population, wrong) for wrong in WRONG]
    visible = float(np.median([power.visible for power in powers]))
    print(f"\nFound in 80 %: {found_in_80_percent(powers):.3f}; called visible: {visible:.3f}.\n")


def _cleaner_labels(bench: Bench, population: Population, wrong: float) -> Any:
    """The recipe with wrong labels, and a row that has half as many of them."""
    half: Changes = {"train.random_erasing": wrong / 2}
    params = with_rows(bench.params, {PLANTED: half, **FEW}, {"train.random_erasing": wrong})
    resolved = [params, override(params, half, "row")]
    recipes = [recipe_of(each.model, each.train) for each in resolved]
    effect = float(measure_effects(bench, params, population, recipes)[1].mean())
    study = partial(
        head_study, params=params, population=population, taken_off={},
        truths={recipes[1]: effect},
    )  # fmt: skip
    found = bench.each(study, bench.num_planted)
    power = measure_power(f"{wrong / 2:.1%} wrong labels, not {wrong:.0%}", PLANTED, found)
    print(power.line, flush=True)
    return power


def main() -> None:
    """Conduct, tally, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion-mnist", type=Path, help="folder of FashionMNIST/raw")
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--planted", type=int, default=100)
    parser.add_argument("--pools", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    params = load_params()
    bench = Bench(params, options.studies, options.planted, options.pools, options.jobs)
    populations = [shipped(params.model, PREPARED)]
    if options.fashion_mnist:
        populations.append(fashion_mnist(params.model, options.fashion_mnist, 20_000, 128, 545))
    print(TALLY_HEAD)
    spread, sizes = methods(bench, populations[-1])
    print(TALLY_HEAD)
    for population in populations[::-1]:
        luck(bench, population)
    simulated(bench, spread, sizes)
    print()
    planted(bench, spread, sizes, populations[-1])


if __name__ == "__main__":
    main()
