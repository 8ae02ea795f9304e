"""A study as files: tables, figures and the report."""

from pathlib import Path
from typing import Any

from sftcore.ablation import figures, stability_figures
from sftcore.ablation.plan import CONFIRM
from sftcore.ablation.report import CELLS_FILE, render_html, render_markdown
from sftcore.ablation.sections import study_sections
from sftcore.ablation.study import Study
from sftcore.foundations.artifacts import (
    output_folder,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.intervals import Interval
from sftcore.settings.grids import BASELINE_ROW, SIMPLER_ROWS, AblationParams
from sftcore.stability.precision import FULL


def write_study(
    study: Study,
    ablation: AblationParams,
    *,
    num_pool: int,
    num_classes: int,
    precision: str,
    recipe: str,
    output: Path,
) -> None:
    """Write the folder of the report.

    Args:
        study: to be written.
        ablation: its grid, for the words.
        num_pool: training and validation pictures, which replicates are drawn from.
        num_classes: C.
        precision: of the updates; written where it is not ``fp32``.
        recipe: hash of the recipe that the study is about.
        output: folder; an earlier one is replaced only when the new one is whole.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    pictures = _draw(study, num_classes)
    intro = _intro(study, ablation, num_pool, num_classes, precision)
    parts = study_sections(study, ablation)
    tables = {
        "screen": study.screen,
        "effects": study.findings.effects,
        "worth": study.findings.worth,
        "data_size": study.growth,
        "stability": study.findings.stability,
    }
    metrics: dict[str, Any] = _metrics(study)
    if precision != FULL:
        metrics["precision"] = precision
    with output_folder(output) as folder:
        write_csv(folder / CELLS_FILE, safe_cells(study.cells))
        for name, table in tables.items():
            if len(table):
                write_csv(folder / f"{name}.csv", safe_cells(table))
        write_json(folder / "verdict.json", {**study.verdict, "recipe": recipe})
        write_json(folder / "metrics.json", metrics)
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)
        write_text(folder / "report.html", render_html(intro, study.verdict, parts, pictures))
        write_text(folder / "report.md", render_markdown(intro, study.verdict, parts))


def _intro(
    study: Study, ablation: AblationParams, num_pool: int, num_classes: int, precision: str
) -> str:
    confirmed = study.cells[study.cells["family"] == CONFIRM]
    num_judge, num_train = confirmed["num_judge"].mean(), confirmed["num_train"].mean()
    text = (
        f"Grid {ablation.grid}: {len(study.results)} trainings. Each replicate draws a seed and "
        f"new parts of the {num_pool} training and validation pictures of {num_classes} classes: "
        f"about {num_train:.0f} to learn from, some that choose epochs and strengths, and about "
        f"{num_judge:.0f} that judge and had no say. All rows of a replicate share them. "
        f"Intervals hold at {ablation.confidence:.0%} for new pictures and new seeds (corrected "
        "resampled t). The test split was not read."
    )
    return text if precision == FULL else f"{text} Updates were computed in {precision}."


def _draw(study: Study, num_classes: int) -> dict[str, bytes]:
    """Figures by name."""
    cells, found = study.cells, study.findings
    names = set(found.effects["row"])
    screen = study.screen.assign(is_confirmed=study.screen["row"].isin(names))
    trained = found.worth[~found.worth["row"].isin(SIMPLER_ROWS)]
    pictures = {
        "worth": figures.effects_figure(
            trained, "Minus logistic regression on the frozen features, with intervals"
        ),
        "overfitting": figures.gap_figure(cells),
        "curves": figures.curves_figure(study.results),
        "calibration": figures.calibration_figure(cells),
        "screen": figures.screen_figure(screen),
    }
    if len(found.effects):
        title = "Confirmed rows minus your recipe, with intervals"
        pictures["effects"] = figures.effects_figure(found.effects, title)
    if len(study.growth):
        pictures["data_size"] = figures.data_size_figure(cells, study.laws)
    if len(found.stability):
        pictures["stability"] = stability_figures.stability_figure(found.stability, num_classes)
    return pictures


def _metrics(study: Study) -> dict[str, Any]:
    """Headline numbers, as ``dvc metrics diff`` compares them."""
    found = study.findings
    worth = found.worth[found.worth["row"] == BASELINE_ROW].set_index("metric")
    metrics: dict[str, Any] = {
        "worth": {
            metric: _numbers(worth.loc[metric, "difference"], worth.loc[metric, "low"],
                             worth.loc[metric, "high"])
            for metric in ("loss", "accuracy")
        },
        "overfitting": {
            "loss_rise": _of(found.rise),
            "calibration_error_rise": _of(found.calibration_rise),
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
