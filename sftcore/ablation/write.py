"""A study as files: tables, figures and the report."""

from pathlib import Path
from statistics import mean
from typing import Any

from sftcore.ablation import figures, stability_figures
from sftcore.ablation.curves import curves_figure, curves_table
from sftcore.ablation.effects import FAILED
from sftcore.ablation.plan import CONFIRM
from sftcore.ablation.sections import row_means, study_parts
from sftcore.ablation.stability import stability_words
from sftcore.ablation.study import Study
from sftcore.ablation.verdict import NO_VERDICT
from sftcore.foundations.artifacts import (
    output_folder,
    write_bytes,
    write_csv,
    write_json,
)
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.intervals import Interval
from sftcore.reporting.parts import Part, write_parts
from sftcore.settings.grids import BASELINE_ROW, AblationSettings
from sftcore.stability.precision import FULL
from sftcore.tasks.contract import is_less_better

CELLS_FILE = "cells.csv"
HEADLINE_FILE = "worth.json"


def write_study(
    study: Study,
    ablation: AblationSettings,
    *,
    num_pool: int,
    num_outputs: int,
    precision: str,
    recipe: str,
    output: Path,
) -> None:
    """Write the folder of the report.

    Args:
        study: to be written.
        ablation: its grid, for the words.
        num_pool: training and validation pictures, which replicates are drawn from.
        num_outputs: of the head.
        precision: of the updates; written where it is not ``fp32``.
        recipe: hash of the recipe that the study is about.
        output: folder; an earlier one is replaced only when the new one is whole.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    pictures = _draw(study)
    intro = _intro(study, ablation, num_pool, num_outputs, precision)
    found = study.findings
    tables = {
        "screen": study.screen,
        "effects": found.effects,
        "worth": found.worth,
        "overfitting": row_means(study.cells, found.task),
        "curves": curves_table(study.results),
        "data_size": study.growth,
        "stability": found.stability,
        "stability_words": stability_words(found.stability),
    }
    metrics: dict[str, Any] = _metrics(study)
    if precision != FULL:
        metrics["precision"] = precision
    with output_folder(output) as folder:
        write_csv(folder / CELLS_FILE, safe_cells(study.cells))
        for name, table in tables.items():
            if len(table.columns):
                write_csv(folder / f"{name}.csv", safe_cells(table))
        write_json(folder / "verdict.json", {**study.verdict, "recipe": recipe})
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(study))
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)
        write_parts(folder, study_parts(study, ablation, intro))


def write_nothing(recipe: str, output: Path) -> None:
    """The folder of a study that was left out.

    Args:
        recipe: hash of the recipe that a study would have been about.
        output: folder; an earlier one is replaced.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    with output_folder(output) as folder:
        write_json(folder / "verdict.json", {**NO_VERDICT, "recipe": recipe})
        write_json(folder / HEADLINE_FILE, {})
        write_parts(folder, [Part("No study", ("It was left out: ablation.study names none.",))])


def _intro(
    study: Study, ablation: AblationSettings, num_pool: int, num_outputs: int, precision: str
) -> str:
    confirmed, task = study.cells[study.cells["family"] == CONFIRM], study.findings.task
    what = task.examples
    num_judge, num_train = confirmed["num_judge"].mean(), confirmed["num_train"].mean()
    of_outputs = f" of {num_outputs} {task.outputs}" if num_outputs else ""
    text = (
        f"Study {ablation.study}: {len(study.results)} trainings. Each replicate draws a seed and "
        f"new parts of the {num_pool} training and validation {what}{of_outputs}: about "
        f"{num_train:.0f} to learn from, some that choose epochs and strengths, and about "
        f"{num_judge:.0f} that judge and had no say. All rows of a replicate share them. "
        f"Intervals ({ablation.confidence:.0%}) are for new {what} and new seeds (corrected "
        "resampled t; approximate, mostly too wide). The test split was not read."
    )
    return text if precision == FULL else f"{text} Updates were computed in {precision}."


def _draw(study: Study) -> dict[str, bytes]:
    """Figures by name."""
    cells, found, task = study.cells, study.findings, study.findings.task
    names = set(found.effects["row"])
    screen = study.screen.assign(is_confirmed=study.screen["row"].isin(names))
    trained = found.worth[~found.worth["row"].isin(task.simpler_rows)]
    pictures = {
        "worth": figures.effects_figure(
            trained, f"Minus {task.probe_phrase()}, with intervals", task
        ),
        "overfitting": figures.gap_figure(cells, task),
        "curves": curves_figure(curves_table(study.results), task),
        "screen": figures.screen_figure(screen, task),
    }
    if "temperature" in task.outcomes:
        pictures["calibration"] = figures.calibration_figure(cells, task)
    if len(found.effects):
        title = "Confirmed rows minus your recipe, with intervals"
        pictures["effects"] = figures.effects_figure(found.effects, title, task)
    if len(study.growth):
        pictures["data_size"] = figures.data_size_figure(cells, study.laws, task)
    if len(found.stability):
        pictures["stability"] = stability_figures.stability_figure(
            found.stability,
            mean([result.guessing_loss for result in study.results]),
            task.loss_unit,
        )
    return pictures


def _headline(study: Study) -> dict[str, float]:
    """What DVC's tables show: the recipe over the features as they are; more is better.

    Nothing where it failed in a replicate: a mean over the others would flatter it.
    """
    worth = study.findings.worth
    own = (worth["row"] == BASELINE_ROW) & (worth["metric"] == study.findings.metric)
    line = worth[own].iloc[0]
    if line["verdict"] == FAILED:
        return {}
    values = [line["difference"], line["low"], line["high"]]
    if is_less_better(study.findings.metric):
        values = [-line["difference"], -line["high"], -line["low"]]
    names = ("worth", "worth_low", "worth_high")
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def _metrics(study: Study) -> dict[str, Any]:
    """What was measured, by question."""
    found = study.findings
    worth = found.worth[found.worth["row"] == BASELINE_ROW].set_index("metric")
    metrics: dict[str, Any] = {
        "difference_from_features": {
            metric: _numbers(worth.loc[metric, "difference"], worth.loc[metric, "low"],
                             worth.loc[metric, "high"])
            for metric in ("loss", found.task.scores[0])
            if worth.loc[metric, "verdict"] != FAILED  # a mean over the others flatters it
        },
        "overfitting": {
            "loss_rise": _of(found.rise),
            **(
                {"calibration_error_rise": _of(found.calibration_rise)}
                if found.calibration_rise
                else {}
            ),
            "gap": _of(found.gap),
        },
        "effects": {
            row: dict(zip(group["metric"], group["difference"].round(6).tolist(), strict=True))
            for row, group in found.effects.groupby("row")
        },
    }  # fmt: skip
    if found.growth is not None:
        metrics["more_data"] = {"gain_from_half": _of(found.growth.gain)}
    return metrics


def _of(found: Interval) -> dict[str, float]:
    return _numbers(found.mean, found.low, found.high)


def _numbers(value: Any, low: Any, high: Any) -> dict[str, float]:
    return {"value": round(float(value), 6), "low": round(float(low), 6),
            "high": round(float(high), 6)}  # fmt: skip
