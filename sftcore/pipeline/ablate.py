"""The ablate stage: train the study's cells, compare them, write the report."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd

from sftcore.ablation.cells import CELL_THREADS, CellResult
from sftcore.ablation.effects import FAILED
from sftcore.ablation.plan import Cell
from sftcore.ablation.run import check_cells, run_cells
from sftcore.ablation.study import Study, conduct
from sftcore.ablation.workers import Workers
from sftcore.ablation.write import CELLS_FILE, write_nothing, write_study
from sftcore.data.store import open_store
from sftcore.foundations.artifacts import read_json, sha256_file, sha256_json
from sftcore.foundations.repository import scratch_folder
from sftcore.foundations.runtime import set_up
from sftcore.foundations.yaml_files import flatten
from sftcore.pipeline.paths import ABLATION_REPORT, ENVIRONMENT, PREPARED
from sftcore.pipeline.precision import resolve_precision
from sftcore.pipeline.shown import shown_of
from sftcore.pipeline.telling import STUDY_LENGTH, cell_lines, recipe_key, study_text
from sftcore.settings.grids import BASELINE_ROW
from sftcore.settings.tree import Params, recipe_digest
from sftcore.tracking import (
    ABLATION_TAG,
    RECIPE_TAG,
    RUN_KEY_TAG,
    STUDIES,
    STUDY,
    Run,
    check_store,
    experiment_name,
    open_run,
)
from sftcore.training.measure import epoch_metrics
from sftcore.training.records import EpochRecord


def ablate(params: Params) -> Study | None:
    """Train the study, write ``reports/ablation``, and tell MLflow, a run per cell.

    Args:
        params: the seed, and the sections model, train, ablation, runtime and tracking.

    Returns:
        The study; None where ``ablation.study`` leaves it out, of which MLflow hears nothing.

    Raises:
        SFTError: see :func:`run_study`.
    """
    if params.ablation.grid is None:
        write_nothing(recipe_digest(params), ABLATION_REPORT)
        return None
    check_store(enabled=params.tracking.enabled)
    settings = flatten({"seed": params.seed, "ablation": params.ablation.model_dump()})
    content = [params.model.model_dump(), params.train.model_dump(), settings]
    digest = open_store(PREPARED, ("train", "val")).digest
    with open_run(
        enabled=params.tracking.enabled,
        experiment=params.tracking.experiment,
        role=STUDIES,
        name=f"ablation {experiment_name()}".strip(),
        tags={RECIPE_TAG: recipe_key(params, digest)},
        key=(RUN_KEY_TAG, sha256_json(["ablation", *content, digest])),
        shown=shown_of(params.task),
    ) as run:
        run.log_params(settings)
        study = run_study(params)
        run.log_metrics(headline(study))
        cells = sha256_file(ABLATION_REPORT / CELLS_FILE)
        run.set_tags({ABLATION_TAG: cells})
        run.log_artifacts(ABLATION_REPORT, "ablation")
        run.describe(STUDY, study_text(read_json(ABLATION_REPORT / "verdict.json")))
        for result, line in zip(study.results, _lines(), strict=True):
            _log_cell(run, result, cells[:STUDY_LENGTH], line)
        run.list_cells(cells[:STUDY_LENGTH])
        run.link()
    return study


def _lines() -> list[str]:
    """Digests of the lines of trainings; the simpler rows to beat are none."""
    table = ABLATION_REPORT / CELLS_FILE
    lines = zip(cell_lines(table), pd.read_csv(table)["last_epoch"], strict=True)
    return [line for line, last in lines if not math.isnan(last)]


def headline(study: Study) -> dict[str, float]:
    """The study's own numbers for MLflow: what fine-tuning is worth, what over-fitting costs."""
    found = study.findings
    worth = found.worth[found.worth["row"] == BASELINE_ROW]
    worth = worth[worth["verdict"] != FAILED]
    numbers = {
        f"study/worth_{line['metric']}{end}": float(line[column])
        for _, line in worth.iterrows()
        for column, end in (("difference", ""), ("low", "_low"), ("high", "_high"))
    }
    return numbers | {"study/loss_rise": found.rise.mean, "study/gap": found.gap.mean}


def _log_cell(run: Run, result: CellResult, study: str, line: str) -> None:
    row, seed = result.cell.row, result.cell.seed
    judged = {f"judged/{name}": value for name, value in result.judged.items()}
    judged |= {
        f"judged/{name}_{metric}": value
        for name, of in result.simpler.items()
        for metric, value in of.items()
    }
    end = [(result.history[-1].epoch, judged)] if judged else []
    if not math.isnan(result.seconds):
        end.append((0, {"time/seconds": result.seconds}))
    model, train = row.model.model_dump(), row.train.model_dump()
    run.log_cell(
        f"{row.family} {row.name} {result.cell.portion.title}",
        study=study,
        member=f"{row.family} {row.name}",
        line=line,
        params=flatten(
            {"seed": seed, "model": model, "train": train, "portion": asdict(result.cell.portion)}
        ),
        history=[(record.epoch, measured(record)) for record in result.history] + end,
        tags={RUN_KEY_TAG: result.key, "sft.family": row.family, "sft.row": row.name},
        is_finished=not result.diverged,
    )


def measured(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers for MLflow without those that were not measured."""
    return {name: value for name, value in epoch_metrics(record).items() if not math.isnan(value)}


def run_study(params: Params) -> Study:
    """Train the study and write ``reports/ablation``. Only the train and val splits are opened.

    Args:
        params: the seed, and the sections model, train, ablation and runtime.

    Raises:
        ParamsError: an override of the grid is refused.
        SFTError: see :func:`sftcore.training.recipe.train`.
    """
    store = open_store(PREPARED, ("train", "val"))
    device = set_up(params.runtime.device, CELL_THREADS, params.runtime.precision)
    precision = resolve_precision(params, store, device, CELL_THREADS)

    def train_cells(cells: Sequence[Cell], workers: Workers) -> list[CellResult]:
        return run_cells(
            cells,
            prepared=PREPARED,
            task=params.task,
            environment=ENVIRONMENT,
            device=params.runtime.device,
            mode=params.runtime.mode,
            precision=precision,
            workers=workers,
            scratch=scratch_folder(),
            checkpoint_seconds=params.runtime.checkpoint_seconds,
        )

    with Workers(params.runtime.num_workers) as workers:
        trained = partial(train_cells, workers=workers)
        study = conduct(params, trained, partial(check_cells, store=store))
    write_study(
        study,
        params.ablation,
        num_pool=len(store.samples),
        num_outputs=len(store.names),
        precision=precision,
        recipe=recipe_digest(params),
        output=ABLATION_REPORT,
    )
    return study
