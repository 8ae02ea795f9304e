"""A study as files: tables, figures and the report."""

from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.ablation import figures, stability_figures
from sftcore.ablation.plan import REGULARIZATION, SPREAD
from sftcore.ablation.report import CELLS_FILE, Section, render_html, render_markdown, section
from sftcore.ablation.stability import MAX_SWING_NATS
from sftcore.ablation.study import Study
from sftcore.artifacts import output_folder, write_bytes, write_csv, write_json, write_text
from sftcore.grids import AblationParams
from sftcore.stability.precision import FULL
from sftcore.tables import safe_cells


def write_study(
    study: Study,
    ablation: AblationParams,
    *,
    num_train: int,
    num_val: int,
    num_classes: int,
    precision: str,
    output: Path,
) -> None:
    """Write the folder of the report.

    Args:
        study: to be written.
        ablation: its grid, for the words.
        num_train: training pictures.
        num_val: validation pictures.
        num_classes: C.
        precision: of the updates; written where it is not ``fp32``.
        output: folder; an earlier one is replaced only when the new one is whole.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    pictures = _draw(study, num_classes)
    intro = (
        f"Grid `{ablation.grid}`: {len(study.rows)} rows, {len(study.cells)} trainings (rows with "
        f"{ablation.chosen.num_seeds} seeds, the stability map with "
        f"{ablation.chosen.stability.num_seeds}) on {num_train} pictures of {num_classes} "
        f"classes, compared on {num_val} validation pictures. The test split was not read. "
        f"Common to all rows: {_listing(ablation.base)}."
    )
    if precision != FULL:
        intro += f" Updates were computed in {precision}."
    parts = _sections(study, ablation.confidence)
    tables = {
        "effects": study.effects,
        "search": study.searched,
        "leave_one_out": study.left_out,
        "data_size": study.growth,
        "folds": study.folds,
        "spread": study.spread,
    }
    with output_folder(output) as folder:
        write_csv(folder / CELLS_FILE, safe_cells(study.cells))
        write_csv(folder / "stability.csv", safe_cells(study.stability))
        for name, table in tables.items():
            if len(table):
                write_csv(folder / f"{name}.csv", safe_cells(table))
        write_json(folder / "verdict.json", study.verdict)
        metrics: dict[str, Any] = {"baseline": study.gap, "effects": _flat(study.effects)}
        if len(study.spread):
            metrics["spread"] = _spread(study.spread)
        if precision != FULL:
            metrics["precision"] = precision
        write_json(folder / "metrics.json", metrics)
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)
        write_text(folder / "report.html", render_html(intro, study.verdict, parts, pictures))
        write_text(folder / "report.md", render_markdown(intro, study.verdict, parts))


def _draw(study: Study, num_classes: int) -> dict[str, bytes]:
    """Figures by name."""
    cells = study.cells
    alone = cells[cells["family"] == REGULARIZATION]
    pictures = {
        "overfitting": figures.gap_figure(alone),
        "curves": figures.curves_figure(study.results),
        "effects": figures.effects_figure(study.effects, "Each method alone"),
        "calibration": figures.calibration_figure(alone),
        "stability": stability_figures.stability_figure(study.stability, num_classes),
    }
    if len(study.left_out):
        pictures["leave_one_out"] = figures.effects_figure(study.left_out, "All but one")
    if len(study.growth):
        pictures["data_size"] = figures.data_size_figure(cells, study.laws)
    if len(study.spread):
        pictures["spread"] = stability_figures.spread_figure(cells[cells["family"] == SPREAD])
    return pictures


def _sections(study: Study, confidence: float) -> list[Section]:
    alone = study.cells[study.cells["family"] == REGULARIZATION]
    simultaneous = (
        "Differences are paired by seed. Intervals are Student's, widened so that all rows of one "
        f"metric hold together at {confidence:.0%} (Bonferroni); p values are Holm's."
    )
    parts = [
        section(
            "Over-fitting",
            "Accuracy on both splits for every method at the parameters that validation chose, and "
            "the course of the loss, mean over seeds. ece and nll_scaled are on validation "
            "pictures, the latter at a temperature fitted on the other half of them.",
            ("overfitting", "curves"),
            _row_means(alone),
        ),
        section("What each method changes", simultaneous, ("effects",), study.effects),
    ]
    if len(study.left_out):
        parts.append(
            section(
                "What each method adds to all the others",
                "Each row leaves one method out of all together; better means that it is better "
                f"without. {simultaneous}",
                ("leave_one_out",),
                study.left_out,
            )
        )
    if len(study.searched):
        parts.append(
            section(
                "Which settings were tried",
                "Every row tries as many settings as every other, on seeds that are not reported; "
                "the least mean validation loss is chosen.",
                (),
                study.searched,
            )
        )
    parts.append(
        section(
            "Calibration",
            "Expected calibration error on validation pictures before and after temperature "
            "scaling. The temperature of each half is fitted on the other; accuracy is unchanged.",
            ("calibration",),
            None,
        )
    )
    if len(study.growth):
        parts.append(
            section(
                "Does more data help?",
                "Parts of the training pictures, nested for each seed, on the same validation "
                "pictures. Lines: error = a·n^(−b), fitted seed by seed; dashed beyond the data.",
                ("data_size",),
                study.growth,
            )
        )
    if len(study.folds):
        parts.append(
            section(
                "Cross-validation",
                "Train and validation pictures in folds, near-duplicates together. Folds share "
                "training pictures, so the interval is narrower than it should be.",
                (),
                study.folds,
            )
        )
    parts.append(
        section(
            "The stability map",
            "Diverged: loss or gradient left the finite numbers, or the guard gave up. Collapsed: "
            "training loss ends no better than guessing. Stable (outlined): neither, and "
            f"validation loss never rose by more than {MAX_SWING_NATS:g} nats within one epoch. "
            "Compare within the map: its trainings may have fewer epochs than the other rows.",
            ("stability",),
            study.stability,
        )
    )
    if len(study.spread):
        parts.append(
            section(
                "How much runs differ by their seeds",
                "All seeds together, and each source alone with the others held: the head's first "
                "parameters (init), the order of the pictures (order), and augmentation, mixing "
                "and dropout (augmentation). Intervals of the standard deviation of the loss are "
                "those of normal values.",
                ("spread",),
                study.spread,
            )
        )
    return parts


def _row_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, a line per row."""
    columns = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "gap", "loss_rise",
               "ece", "ece_scaled", "nll_scaled", "weight_norm", "weight_distance"]  # fmt: skip
    grouped = cells.groupby("row", sort=False)
    means = grouped[columns].mean()
    means.insert(0, "failed", grouped["status"].apply(lambda status: (status != "finished").sum()))
    means.insert(0, "seeds", grouped.size())
    return means.reset_index()


def _flat(effects: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Differences by row and metric, as ``dvc metrics diff`` compares them."""
    return {
        row: dict(zip(group["metric"], group["difference"].round(6).tolist(), strict=True))
        for row, group in effects.groupby("row")
    }


def _spread(table: pd.DataFrame) -> dict[str, float]:
    """Standard deviation of validation loss by source."""
    return dict(zip(table["source"], table["val_loss_spread"].round(6).tolist(), strict=True))


def _listing(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
