"""The study as a measuring instrument: ``python -m benchmarks.study_calibration``.

Hundreds of whole studies (:func:`sftcore.ablation.study.conduct`: screen, confirmation, verdict)
whose truth is known, because their trainings are injected:

``luck``: heads on real features; all rows are the baseline and differ by their seeds alone.
``methods``: heads without luck, whose rows differ, with the mean difference over all pools taken
off: no row is better, but a pool favours one by chance, which is what the correction is for.
``simulated``: drawn losses with the variances that ``methods`` measured.
``planted_drawn``, ``planted``: a row with a true effect, drawn, or real (fewer wrong labels).

Pictures are the prepared ones, or Fashion-MNIST's. Every study has its own pool, replicates and
seeds. Prints Markdown tables; writes features under ``.sft`` alone. Equal arguments give equal
tables.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from benchmarks.head_cells import HeadCells, Recipe, recipe_of
from benchmarks.known_effects import (
    METHODS,
    QUIET,
    Bench,
    Measured,
    measure_effects,
    measure_methods,
    with_rows,
)
from benchmarks.pools import Population, fashion_mnist, shipped
from benchmarks.simulated_cells import SimulatedCells, Spread
from benchmarks.study_tally import (
    POWER_HEAD,
    TALLY_HEAD,
    Power,
    StudyFound,
    found_in_80_percent,
    measure_power,
    run_study,
    tally_row,
)
from sftcore.ablation.plan import Cell
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.grids import Changes
from sftcore.settings.studies import load_with_study
from sftcore.settings.tree import Params, override

HARMLESS: dict[str, Changes] = {  # no head heeds them
    "window": {"train.guard.window": 60},
    "snapshots": {"train.guard.snapshot_updates": 30},
    "incidents": {"train.guard.max_incidents": 30},
    "loss_z": {"train.guard.loss_z": 9.0},
    "norm_factor": {"train.guard.norm_factor": 21.0},
    "patience": {"train.schedule.patience": 3},
}
FEW = {name: HARMLESS[name] for name in ("snapshots", "incidents")}
WRONG = (0.2, 0.4, 0.6)  # parts of the labels, which the planted row has right
SHIFTS = (0.02, 0.05, 0.1, 0.2)  # nats
PLANTED = "planted"


def head_study(
    study: int,
    params: Params,
    population: Population,
    taken_off: Mapping[Recipe, float],
    truths: Mapping[Recipe, float],
    has_own_luck: bool = False,
) -> StudyFound:
    """One study of heads."""
    ablation = params.ablation
    cells = HeadCells(
        population, study, ablation.judge_fraction, ablation.choose_fraction, taken_off,
        has_own_luck,
    )  # fmt: skip

    def truth(cell: Cell) -> float:
        return truths.get(recipe_of(cell.row.model, cell.row.train), 0.0)

    return run_study(params, cells, truth)


def simulated_study(
    study: int, params: Params, spread: Spread, effects: Mapping[str, float], sizes: tuple[int, int]
) -> StudyFound:
    """One study of drawn losses."""
    cells = SimulatedCells(study, spread, effects, *sizes)
    return run_study(params, cells, lambda cell: cells.truth(cell.row.name))


def luck(bench: Bench, population: Population, known: Callable[[], Measured]) -> None:
    """All rows are the baseline."""
    params = with_rows(bench.params, HARMLESS, {})
    study = partial(
        head_study, params=params, population=population, taken_off={}, truths={}, has_own_luck=True
    )
    found = bench.each(study, bench.num)
    print(tally_row(f"luck, {population.name}", found), flush=True)


def methods(bench: Bench, population: Population, known: Callable[[], Measured]) -> None:
    """Rows that differ, and are worth the same in the mean over all pools."""
    study = partial(
        head_study, params=with_rows(bench.params, METHODS, QUIET), population=population,
        taken_off=known().effects, truths={},
    )  # fmt: skip
    found = bench.each(study, bench.num)
    print(tally_row(f"methods of equal worth, {population.name}", found), flush=True)


def simulated(bench: Bench, population: Population, known: Callable[[], Measured]) -> None:
    """Drawn losses, with several ratios of the variances."""
    params = with_rows(bench.params, HARMLESS, {})
    spread, sizes = known().spread, known().sizes
    assumed = (sizes[1] / sizes[0]) ** 0.5
    for name, between in (
        ("as measured", spread.between),
        ("ratio n_judge/n_train", assumed * spread.within),
    ):
        study = partial(
            simulated_study, params=params, spread=Spread(between, spread.within),
            effects={}, sizes=sizes,
        )  # fmt: skip
        print(tally_row(f"simulated, {name}", bench.each(study, bench.num)), flush=True)


def planted_drawn(bench: Bench, population: Population, known: Callable[[], Measured]) -> None:
    """Power by size of a true effect, in drawn losses."""
    params = with_rows(bench.params, {PLANTED: {"train.guard.window": 70}, **FEW}, {})
    print(f"\n{POWER_HEAD}")
    powers = []
    for shift in SHIFTS:
        study = partial(
            simulated_study, params=params, spread=known().spread, effects={PLANTED: -shift},
            sizes=known().sizes,
        )  # fmt: skip
        found = bench.each(study, bench.num_planted)
        powers.append(measure_power(f"drawn, {shift:g} nats", PLANTED, found))
        print(powers[-1].line, flush=True)
    _compare_visible(powers)


def planted(bench: Bench, population: Population, known: Callable[[], Measured]) -> None:
    """Power by size of a true effect: the recipe has wrong labels, and a row half as many."""
    print(f"\n{POWER_HEAD}")
    _compare_visible([_cleaner_labels(bench, population, wrong) for wrong in WRONG])


def _compare_visible(powers: Sequence[Power]) -> None:
    visible = ", ".join(f"{power.visible:.3f}" for power in powers)
    print(f"\nFound in 80 %: {found_in_80_percent(powers):.3f} nats; called visible: {visible}.\n",
          flush=True)  # fmt: skip


def _cleaner_labels(bench: Bench, population: Population, wrong: float) -> Power:
    """Studies of one size."""
    half: Changes = {"train.augmentation.erasing": wrong / 2}
    params = with_rows(
        bench.params, {PLANTED: half, **FEW}, {"train.augmentation.erasing": wrong, **QUIET}
    )
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


PARTS: dict[str, Callable[[Bench, Population, Callable[[], Measured]], None]] = {
    part.__name__: part for part in (luck, methods, simulated, planted_drawn, planted)
}


def main() -> None:
    """Conduct, tally, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--fashion-mnist", type=Path, help="folder of FashionMNIST/raw")
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--planted", type=int, default=100)
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    params = load_with_study()
    bench = Bench(params, options.studies, options.planted, options.pools, options.jobs)
    population = (
        fashion_mnist(params.model, options.fashion_mnist, 20_000, 128, 545)
        if options.fashion_mnist
        else shipped(params.model, PREPARED)
    )
    known = cache(partial(measure_methods, bench, population, QUIET))
    if set(options.parts or PARTS) - {luck.__name__}:
        measure_methods(bench, population, {})  # to be seen beside the quiet ones
        known()
    print(f"\n{TALLY_HEAD}", flush=True)
    for name in options.parts or PARTS:
        PARTS[name](bench, population, known)


if __name__ == "__main__":
    main()
