"""The parts of a study's report: words, figures and tables."""

import pandas as pd

from sftcore.ablation.effects import MOST_ON_LAST_EPOCH
from sftcore.ablation.report import Section, section
from sftcore.ablation.stability import stability_words
from sftcore.ablation.study import Study
from sftcore.ablation.table import FINISHED, trained_rows
from sftcore.metrics.intervals import failure_bound
from sftcore.settings.grids import BASELINE_ROW, AblationParams, Changes

_SHOWN = {
    "row": "row", "metric": "metric", "difference": "difference", "low": "low", "high": "high",
    "verdict": "verdict", "visible": "visible from", "p_holm": "p", "num_replicates": "replicates",
    "num_failed": "failed", "num_on_last_epoch": "best at end",
}  # fmt: skip


def study_sections(study: Study, ablation: AblationParams) -> list[Section]:
    """All parts that the grid asks for, in their order.

    Args:
        study: its tables.
        ablation: its grid, for the words.
    """
    parts = [_worth(study), _overfitting(study), _screen(study, ablation)]
    if len(study.findings.effects):
        parts.append(_effects(study, ablation))
    if len(study.growth):
        parts.append(_data_size(study))
    if len(study.findings.stability):
        parts.append(_stability(study, ablation))
    return parts


def _worth(study: Study) -> Section:
    return section(
        "What fine-tuning is worth",
        "Your recipe, each confirmed row, nearest neighbours and the most frequent class minus "
        "logistic regression on the frozen features, in the same replicates. Each interval is by "
        "itself. visible from: the smallest true difference that this study would have found in "
        "four of five tries; best at end: replicates in which the last epoch was the best.",
        ("worth",),
        _shown(study.findings.worth),
    )


def _overfitting(study: Study) -> Section:
    found = study.findings
    return section(
        "Over-fitting",
        "Over-fitting is what it costs: loss_rise is how far the loss at the last epoch stands "
        f"above that at the best one (your recipe: {found.rise.mean:+.3f} "
        f"[{found.rise.low:+.3f}, {found.rise.high:+.3f}]; its calibration error rises by "
        f"{found.calibration_rise.mean:+.3f} [{found.calibration_rise.low:+.3f}, "
        f"{found.calibration_rise.high:+.3f}]). The gap between training accuracy and accuracy "
        f"({found.gap.mean:.3f} [{found.gap.low:.3f}, {found.gap.high:.3f}]) is a gap and no harm "
        "by itself. A temperature above 1 means too sure of itself; loss_scaled is the loss at it.",
        ("curves", "overfitting", "calibration"),
        row_means(study.cells),
    )


def _screen(study: Study, ablation: AblationParams) -> Section:
    screen = ablation.chosen.screen
    base = f" Common to all its rows: {_listing(screen.base)}." if screen.base else ""
    return section(
        "The screen",
        f"Every row in {screen.num_replicates} replicates: estimates that say what is worth "
        f"confirming, and no verdict. gain is in {ablation.metric.replace('_', ' ')}, above 0 is "
        f"better.{base}",
        ("screen",),
        _screened(study.screen),
    )


def _effects(study: Study, ablation: AblationParams) -> Section:
    return section(
        "The confirmation",
        f"The best rows of the screen, and all of them at once (composed), on top of your recipe "
        f"in {ablation.chosen.confirm.num_replicates} replicates that the screen never saw. "
        "Verdict, p value and interval are of one test, and hold for all rows of a metric together "
        f"(Holm); the verdict is by {ablation.metric.replace('_', ' ')}. Where more than "
        f"{MOST_ON_LAST_EPOCH:.0%} of the trainings of a row or of the recipe were best at their "
        "end, they may not have converged and there is no verdict.",
        ("effects",),
        _shown(study.findings.effects),
    )


def _data_size(study: Study) -> Section:
    words = []
    for law in study.laws:
        name = "your recipe" if law.row == "none" else law.row
        support = "supports" if law.is_supported else "does not support"
        words.append(
            f"{name}: error falls as n^-{law.exponent.mean:.2f} "
            f"[{law.exponent.low:.2f}, {law.exponent.high:.2f}], which {support} a word on twice "
            "the data"
        )
    return section(
        "Does more data help?",
        "Nested parts of the training pictures, with as many updates at every size (a quarter of "
        "the pictures is passed over four times as often), and logistic regression on the frozen "
        "features beside it. Lines: error = a·n^(−b), fitted replicate by replicate. "
        f"{'; '.join(words)}{'.' * bool(words)}",
        ("data_size",),
        _growth(study.growth),
    )


def _stability(study: Study, ablation: AblationParams) -> Section:
    grid = ablation.chosen.stability
    assert grid is not None
    base = f" with {_listing(grid.base)}" if grid.base else ""
    bound = failure_bound(0, grid.num_replicates, ablation.confidence)
    return section(
        "The stability map",
        f"Your recipe{base}, every rate with every answer in {grid.num_replicates} replicates. "
        "Safe: in every replicate the last epoch is better than the head alone on pictures that "
        "had no say. Diverged: not finite, or the guard gave up. Collapsed: no better than "
        "guessing on training pictures. No failure in so few replicates still allows a rate of "
        f"failures of up to {bound:.0%}.",
        ("stability",),
        stability_words(study.findings.stability),
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of comparisons as people read it: the verdict before what it rests on."""
    chosen = table[list(_SHOWN)].rename(columns=_SHOWN)
    return chosen.assign(row=chosen["row"].replace(BASELINE_ROW, "your recipe"))


def _screened(table: pd.DataFrame) -> pd.DataFrame:
    names = {"num_replicates": "replicates", "num_failed": "failed",
             "num_on_last_epoch": "best at end", "loss_difference": "loss minus recipe",
             "accuracy_difference": "accuracy minus recipe"}  # fmt: skip
    shown = table.assign(row=table["row"].replace(BASELINE_ROW, "your recipe"))
    return shown[["row", "setting", "gain", "loss", "accuracy", *names]].rename(columns=names)


def _growth(table: pd.DataFrame) -> pd.DataFrame:
    names = {"num_replicates": "replicates", "num_failed": "failed",
             "num_on_last_epoch": "best at end", "num_train": "pictures"}  # fmt: skip
    shown = table.assign(row=table["row"].replace(BASELINE_ROW, "your recipe"))
    return shown[
        ["row", "fraction", "num_train", "accuracy", "accuracy_spread", "loss", "gap",
         "num_replicates", "num_failed", "num_on_last_epoch"]
    ].rename(columns=names)  # fmt: skip


def row_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over the replicates of each confirmed row."""
    table = trained_rows(cells)
    columns = ["train_loss", "loss", "train_accuracy", "accuracy", "gap", "loss_rise", "ece",
               "temperature", "loss_scaled", "weight_distance"]  # fmt: skip
    grouped = table.groupby("row", sort=False)
    means = grouped[columns].mean()
    means.insert(0, "failed", grouped["status"].apply(lambda status: (status != FINISHED).sum()))
    means.insert(0, "replicates", grouped.size())
    table = means.reset_index()
    return table.assign(row=table["row"].replace(BASELINE_ROW, "your recipe"))


def _listing(changes: Changes) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
