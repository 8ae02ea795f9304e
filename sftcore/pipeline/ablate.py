"""The ablate stage: train the study's cells, compare them, write the report."""

import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sftcore.ablation import figures
from sftcore.ablation.effects import (
    MAX_SWING_NATS,
    baseline_gap,
    cells_table,
    learning_rate_stability,
    regularization_effects,
)
from sftcore.ablation.plan import LEARNING_RATE, REGULARIZATION, plan_cells, plan_rows
from sftcore.ablation.report import CELLS_FILE, render_html, render_markdown, section
from sftcore.ablation.run import CellResult, run_cells
from sftcore.ablation.verdict import write_verdict
from sftcore.artifacts import (
    output_folder,
    sha256_file,
    sha256_json,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from sftcore.data.store import open_store
from sftcore.params import flatten
from sftcore.pipeline.paths import ABLATION_REPORT, ENVIRONMENT, PREPARED
from sftcore.repository import scratch_folder
from sftcore.sections import Params
from sftcore.tables import safe_cells
from sftcore.tracking import ABLATION_TAG, RUN_KEY_TAG, Run, check_store, open_run
from sftcore.training.measure import epoch_metrics


@dataclass(frozen=True)
class Study:
    """What the stage found: results of the cells, their table, and the answers."""

    results: list[CellResult]
    cells: pd.DataFrame
    verdict: dict[str, Any]


def ablate(params: Params) -> Study:
    """Train the study, write ``reports/ablation``, and tell MLflow, a child run per cell.

    Args:
        params: the seed, and the sections model, train, ablation, runtime and tracking.

    Raises:
        SFTError: see :func:`run_study`.
    """
    check_store(enabled=params.tracking.enabled)
    settings = flatten({"seed": params.seed, "ablation": params.ablation.model_dump()})
    content = [params.model.model_dump(), params.train.model_dump(), settings]
    digest = open_store(PREPARED, ("train", "val")).digest
    with open_run(
        enabled=params.tracking.enabled,
        experiment=params.tracking.experiment,
        name=f"ablation {os.environ.get('DVC_EXP_NAME', '')}".strip(),
        tags={},
        key=(RUN_KEY_TAG, sha256_json(["ablation", *content, digest])),
    ) as run:
        run.log_params(settings)
        study = run_study(params)
        run.set_tags({ABLATION_TAG: sha256_file(ABLATION_REPORT / CELLS_FILE)})
        run.log_artifacts(ABLATION_REPORT, "ablation")
        for result in study.results:
            _log_cell(run, result)
    return study


def _log_cell(run: Run, result: CellResult) -> None:
    row, seed = result.cell.row, result.cell.seed
    model, train = row.model.model_dump(), row.train.model_dump()
    run.log_child(
        f"{row.name} seed {seed}",
        params=flatten({"seed": seed, "model": model, "train": train}),
        history=[(record.epoch, epoch_metrics(record)) for record in result.history],
        tags={RUN_KEY_TAG: result.key, "sft.family": row.family, "sft.row": row.name},
        is_finished=not result.diverged,
    )


def run_study(params: Params) -> Study:
    """Write ``reports/ablation``. Only the train and val splits are opened.

    Args:
        params: the seed, and the sections model, train, ablation and runtime.

    Raises:
        ParamsError: an override of the grid is refused.
        SFTError: see :func:`sftcore.recipe.train`.
    """
    rows = plan_rows(params)
    num_seeds = {
        REGULARIZATION: params.ablation.num_seeds,
        LEARNING_RATE: params.ablation.num_seeds_learning_rates,
    }
    results = run_cells(
        plan_cells(rows, params.seed, num_seeds),
        prepared=PREPARED,
        environment=ENVIRONMENT,
        device=params.runtime.device,
        mode=params.runtime.mode,
        num_workers=params.runtime.num_workers,
        scratch=scratch_folder(),
        checkpoint_seconds=params.runtime.checkpoint_seconds,
    )
    store = open_store(PREPARED, ("train", "val"))
    confidence = params.ablation.confidence
    cells = cells_table(results, len(store.classes))
    effects = regularization_effects(cells, confidence)
    stability = learning_rate_stability(cells)
    gap = baseline_gap(cells, confidence)
    verdict = write_verdict(rows, gap, effects, stability, confidence)
    by_family = {name: cells[cells["family"] == name] for name in (REGULARIZATION, LEARNING_RATE)}
    pictures = {
        "baseline_curves": figures.curves_figure(results),
        "overfitting": figures.gap_figure(by_family[REGULARIZATION]),
        "effects": figures.effects_figure(effects),
        "learning_rates": figures.learning_rate_figure(
            by_family[LEARNING_RATE], len(store.classes)
        ),
    }
    intro = (
        f"{len(rows)} settings, each trained with {num_seeds[REGULARIZATION]} seeds (learning "
        f"rates with {num_seeds[LEARNING_RATE]}) on "
        f"{len(store.split('train'))} pictures of {len(store.classes)} classes and compared on "
        f"{len(store.split('val'))} validation pictures. The test split was not read. "
        f"Common to all rows: {_listing(params.ablation.base)}."
    )
    sections = [
        section(
            "Over-fitting",
            "Loss of the baseline over the epochs, and accuracy on both splits for every method.",
            ("baseline_curves", "overfitting"),
            _row_means(by_family[REGULARIZATION]),
        ),
        section(
            "What regularization changes",
            "Differences are paired by seed. Intervals are Student's, widened so that all rows of "
            f"one metric hold together at {confidence:.0%} (Bonferroni); p values are Holm's.",
            ("effects",),
            effects,
        ),
        section(
            "Stability over the learning rate",
            "Diverged: loss or gradient left the finite numbers. Collapsed: training loss ends no "
            f"better than guessing. Stable: neither, and validation loss never rose by more than "
            f"{MAX_SWING_NATS:g} nats within one epoch.",
            ("learning_rates",),
            stability,
        ),
    ]
    with output_folder(ABLATION_REPORT) as folder:
        write_csv(folder / CELLS_FILE, safe_cells(cells))
        write_csv(folder / "effects.csv", safe_cells(effects))
        write_csv(folder / "learning_rates.csv", stability)
        write_json(folder / "verdict.json", verdict)
        write_json(folder / "metrics.json", {"baseline": gap, "effects": _flat(effects)})
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)
        write_text(folder / "report.html", render_html(intro, verdict, sections, pictures))
        write_text(folder / "report.md", render_markdown(intro, verdict, sections))
    return Study(results, cells, verdict)


def _row_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, a line per row."""
    columns = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "gap", "loss_rise",
               "weight_distance"]  # fmt: skip
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


def _listing(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
