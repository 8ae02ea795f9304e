"""True effects of rows, and how far pools and replicates scatter about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.head_cells import HeadCells, Recipe, head_loss, recipe_of
from benchmarks.pools import Population
from benchmarks.simulated_cells import Spread
from sftcore.ablation.plan import join_changes
from sftcore.settings.grids import BASELINE_ROW, Changes
from sftcore.settings.tree import Params, check_params, override

RECIPE: Changes = {
    "train.learning_rate": 0.1,
    "train.batch_size": 64,
    "train.range_test.enabled": False,
}
QUIET: Changes = {"train.batch_size": 4096}  # all pictures in every update: no luck but the start
METHODS: dict[str, Changes] = {
    "weight_decay": {"train.weight_decay": 0.01},
    "label_smoothing": {"train.label_smoothing": 0.1},
    "dropout": {"model.dropout": 0.3},
}
NUM_TRUTH_REPLICATES = 6
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
    grid = tree["ablation"]["grid"]
    grid["screen"] |= {
        "rows": {BASELINE_ROW: {}, **rows}, "all_together": [], "leave_one_out": False,
    }  # fmt: skip
    grid |= {"data_size": None, "stability": None}
    tree["ablation"]["metric"] = "loss"
    return check_params(tree, "study_calibration")


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
        [head_loss(population, cells.parts(k), recipe, cells.study, k) for recipe in recipes]
        for k in range(NUM_TRUTH_REPLICATES)
    ])  # fmt: skip


def components(differences: np.ndarray) -> Spread:
    """Spread of differences [pools, replicates], by analysis of variance (Fisher, 1925)."""
    num = differences.shape[1]
    within = float(differences.var(axis=1, ddof=1).mean())
    between = float(differences.mean(axis=1).var(ddof=1)) - within / num
    return Spread(max(0.0, between) ** 0.5, within**0.5)


@dataclass(frozen=True)
class Measured:
    """What is known of :data:`METHODS` from pools that no study draws.

    Attributes:
        effects: true difference from the baseline by recipe, all pairs of rows among them.
        spread: of a row's difference, mean over the rows.
        sizes: pictures that train and that judge.
    """

    effects: dict[Recipe, float]
    spread: Spread
    sizes: tuple[int, int]


def measure_methods(bench: Bench, population: Population, recipe: Changes) -> Measured:
    """True effects, and how far pools and replicates scatter about them; prints a table."""
    params, ablation = with_rows(bench.params, METHODS, recipe), bench.params.ablation
    pairs = {
        f"{a} + {b}": join_changes([METHODS[a], METHODS[b]]) for a, b in combinations(METHODS, 2)
    }
    rows = {BASELINE_ROW: {}, **METHODS, **pairs}
    resolved = [override(params, changes, "row") for changes in rows.values()]
    recipes = [recipe_of(each.model, each.train) for each in resolved]
    differences = measure_effects(bench, params, population, recipes)
    cells = HeadCells(population, 0, ablation.judge_fraction, ablation.choose_fraction)
    parts = cells.parts(0)
    kind = "all pictures in every update" if recipe else "minibatches"
    print(f"\n{population.name}, {kind}: {len(parts.train)} pictures train, "
          f"{len(parts.val)} choose, {len(parts.judge)} judge; {bench.num_pools} pools, "
          f"{NUM_TRUTH_REPLICATES} replicates of each\n\n"
          "| row | true difference, nats | σ between pools | σ within | ratio of variances |\n"
          "|---|---|---|---|---|")  # fmt: skip
    spreads = [components(each) for each in differences]
    for name, each, spread in zip(rows, differences, spreads, strict=True):
        if name != BASELINE_ROW:
            ratio = (spread.between / spread.within) ** 2
            print(f"| {name} | {each.mean():+.4f} | {spread.between:.4f} | {spread.within:.4f} "
                  f"| {ratio:.2f} |", flush=True)  # fmt: skip
    single = spreads[1 : 1 + len(METHODS)]
    mean = Spread(*(
        float(np.mean([getattr(s, name) ** 2 for s in single])) ** 0.5
        for name in ("between", "within")
    ))  # fmt: skip
    effects = dict(zip(recipes, differences.mean(axis=(1, 2)).tolist(), strict=True))
    return Measured(effects, mean, (len(parts.train), len(parts.judge)))
