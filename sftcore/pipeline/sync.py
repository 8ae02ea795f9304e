"""Tell MLflow what it has missed: what waits for it, and what DVC took from its cache."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.ablation.write import CELLS_FILE
from sftcore.data.store import MANIFEST_FILE
from sftcore.evaluation.predict import RECORD_FILE
from sftcore.foundations.artifacts import read_json, sha256_file
from sftcore.foundations.errors import ParamsError, TrackingError
from sftcore.foundations.repository import example_name, from_the_top
from sftcore.foundations.yaml_files import PARAMS_FILE, flatten, read_yaml
from sftcore.pipeline.paths import (
    ABLATION_REPORT,
    EVALUATE_REPORT,
    FINETUNE_REPORT,
    MODEL,
    PREPARED,
    REPORT,
)
from sftcore.pipeline.results import answer_text, headline_metrics
from sftcore.pipeline.shown import shown_of
from sftcore.pipeline.telling import (
    STUDY_LENGTH,
    cell_lines,
    files_text,
    recipe_key,
    size_text,
    study_text,
    training_text,
)
from sftcore.settings.tree import Params, check_params
from sftcore.stability.precision import FULL
from sftcore.tasks.registry import TASKS
from sftcore.tasks.reports import report_of
from sftcore.tracking import (
    ABLATION_TAG,
    EXPERIMENT_TAG,
    FILES,
    MODEL_TAG,
    RECIPE_TAG,
    STUDIES,
    STUDY,
    TEST,
    TRAINING,
    Run,
    changed_files,
    changes_since,
    check_store,
    contents_of,
    open_run,
    replay_pending,
    training_name,
)
from sftcore.training.measure import epoch_metrics
from sftcore.training.records import EpochRecord

_MANIFEST = PREPARED / MANIFEST_FILE
_WANTED = (PARAMS_FILE, _MANIFEST, MODEL, FINETUNE_REPORT, EVALUATE_REPORT, ABLATION_REPORT,
           REPORT)  # fmt: skip
_LOCK = "dvc.lock"


@dataclass(frozen=True)
class Version:
    """Results of one run of the pipeline, as files.

    Attributes:
        folder: laid out like the repository.
        experiment: DVC's name of the experiment; empty for the workspace, whose results may belong
            to any.
        baseline: commit that the experiment began from.
    """

    folder: Path
    experiment: str = ""
    baseline: str = ""

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"experiment {self.experiment}" if self.experiment else "workspace"


_CELL_PARAMS = ("seed", "replicate", "learning_rate", "schedule", "fraction")


def sync() -> Iterator[str]:
    """Deliver and backfill; a line for each thing done, none if MLflow has it all.

    Raises:
        TrackingError: the store does not answer, or fails.
    """
    check_store(enabled=True)
    try:
        yield from replay_pending()
        yield from _backfill(Version(Path()))
        with tempfile.TemporaryDirectory() as temporary:
            for version in _experiments(Path(temporary)):
                yield from _backfill(version)
    except TrackingError:
        raise
    except Exception as error:  # whatever a store can raise
        raise TrackingError(f"MLflow's store failed ({error}): run `make sync` again") from error


def _experiments(temporary: Path) -> Iterator[Version]:
    """Every experiment of DVC, with as much of its results as the cache holds."""
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

    with Repo() as repo:
        found = repo.experiments.ls(all_commits=True)
    for baseline, experiments in found.items():
        for name, revision in experiments:
            if not _was_run_here(baseline, revision):
                continue
            # An example is a repository within the one that a revision is opened as.
            files = DVCFileSystem(url=".", rev=revision, subrepos=bool(example_name()))
            folder = temporary / revision
            for path in _WANTED:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                try:
                    files.get(
                        f"/{from_the_top(path).as_posix()}", str(folder / path), recursive=True
                    )
                except (FileNotFoundError, OSError):
                    continue  # what is not there is named by whoever looks for it
            yield Version(folder, name, baseline)


def _was_run_here(baseline: str, revision: str) -> bool:
    """Whether an experiment is of this folder: DVC lists those of the examples with all others.

    One that changed no result may have been run anywhere.
    """
    if _LOCK in changed_files(baseline, revision, here=True):
        return True
    return all(Path(f).name != _LOCK for f in changed_files(baseline, revision, here=False))


def _backfill(version: Version) -> Iterator[str]:
    try:
        tree = read_yaml(version.folder / PARAMS_FILE)
        yield from _backfill_model(version, tree)
        yield from _backfill_study(version, tree)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).relative_to(version.folder).as_posix()
        yield f"{version.title}: {missing} is not there"
    except KeyError as error:
        yield f"{version.title}: its results are of an older version and have no {error}"


def _options(version: Version, tree: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
    tags = {EXPERIMENT_TAG: version.experiment, "dvc.baseline_rev": version.baseline,
            RECIPE_TAG: _recipe(version, tree)}  # fmt: skip
    return {
        "experiment": tree["tracking"]["experiment"],
        "tags": {name: value for name, value in tags.items() if value},
        "key": key,
        "shown": shown_of(_task_of(tree)),
        "any_experiment": not version.experiment,
    }


def _task_of(tree: dict[str, Any]) -> str:
    """The task of a params.yaml; what it leaves out is as it is defined."""
    return str(tree.get("task", Params().task))


def _recipe(version: Version, tree: dict[str, Any]) -> str:
    """What the training and the study have in common; empty where that cannot be known."""
    try:
        return recipe_key(
            check_params(tree, PARAMS_FILE.name), sha256_file(version.folder / _MANIFEST)
        )
    except (ParamsError, FileNotFoundError):  # of an older version; or not in the cache
        return ""


def _backfill_model(version: Version, tree: dict[str, Any]) -> Iterator[str]:
    """The run of the fine-tuned model, with its history, its test and its files."""
    record = read_json(version.folder / MODEL / RECORD_FILE)
    history = pd.read_csv(version.folder / FINETUNE_REPORT / "history.csv")
    metrics = read_json(version.folder / EVALUATE_REPORT / "metrics.json")
    options = _options(version, tree, (MODEL_TAG, record["model_sha256"]))
    report = report_of(record)
    told = {"train/loss", next(iter(report.headline)), "finetune/", "evaluate/", "model"}
    if told <= contents_of(**options):
        return
    settings = {name: tree[name] for name in ("seed", "model", "train")}
    epochs = epochs_of(history)
    changes = changes_since(tree, version.baseline)
    name = training_name(record["backbone"], changes, version.experiment)
    count = f"num_{report.examples}"
    counts = {split: int(metrics[split][count]) for split in ("train", "val")}
    names = record["classes"] if "classes" in record else record["facts"]["names"]
    size = size_text(record.get("image_size", 0), record.get("text", {}).get("max_tokens", 0))
    about = (record["backbone"], names, size, counts, changes, TASKS[report.name])
    with open_run(enabled=True, name=name, **options) as run:
        num_threads, precision = tree["runtime"]["num_threads"], record.get("precision", FULL)
        settings |= {"runtime.num_threads": num_threads, "runtime.precision": precision}
        run.log_params(flatten(settings))
        run.describe(TRAINING, training_text(*about))
        run.describe(TEST, answer_text(metrics))
        run.describe(FILES, files_text(version.experiment))
        run.log_history([(epoch.epoch, epoch_metrics(epoch)) for epoch in epochs])
        run.log_metrics(headline_metrics(metrics))
        run.log_artifacts(version.folder / FINETUNE_REPORT, "finetune")
        run.log_artifacts(version.folder / EVALUATE_REPORT, "evaluate")
        if (version.folder / REPORT).is_file():
            run.log_artifacts(version.folder / REPORT, "")
        run.log_model(version.folder / MODEL)
        run.link()
    yield f"{version.title}: told MLflow of the model {record['model_sha256'][:12]}"


def epochs_of(history: pd.DataFrame) -> list[EpochRecord]:
    """The epochs of a ``history.csv``: what is not of every training is a score of its task."""
    common = {field.name for field in fields(EpochRecord)} - {"scores"}
    epochs = []
    for row in history.to_dict("records"):
        scores = {name: value for name, value in row.items() if name not in common}
        epochs.append(EpochRecord(**{name: row[name] for name in common}, scores=scores))
    return epochs


def _backfill_study(version: Version, tree: dict[str, Any]) -> Iterator[str]:
    """The run of the study, and a run for each cell that MLflow does not have."""
    table = version.folder / ABLATION_REPORT / CELLS_FILE
    if not table.is_file():  # the study was left out
        return
    digest = sha256_file(table)
    options = _options(version, tree, (ABLATION_TAG, digest)) | {"role": STUDIES}
    if "ablation/" in contents_of(**options):
        return
    verdict = read_json(table.parent / "verdict.json")
    with open_run(enabled=True, name=f"ablation {version.experiment}".strip(), **options) as run:
        run.log_params(flatten({"seed": tree["seed"], "ablation": tree["ablation"]}))
        run.describe(STUDY, study_text(verdict))
        cells, score = pd.read_csv(table).to_dict("records"), TASKS[_task_of(tree)].scores[0]
        for cell, line in zip(cells, cell_lines(table), strict=True):
            if not math.isnan(float(cell["last_epoch"])):  # nothing was trained for those
                _log_cell(run, cell, score, digest[:STUDY_LENGTH], line)
        run.list_cells(digest[:STUDY_LENGTH])
        run.log_artifacts(table.parent, "ablation")
        run.link()
    yield f"{version.title}: told MLflow of the ablation {digest[:12]}"


def _log_cell(run: Run, cell: dict[str, Any], score: str, study: str, line: str) -> None:
    names = {
        "train_loss": "train/loss",
        f"train_{score}": f"train/{score}",
        "loss": "judged/loss",
        score: f"judged/{score}",
        "weight_distance": "weights/distance",
    }
    numbers = {name: float(cell[column]) for column, name in names.items()}
    run.log_cell(
        f"{cell['family']} {cell['row']} replicate {cell['replicate']}",
        study=study,
        member=f"{cell['family']} {cell['row']}",
        line=line,
        params={name: cell[name] for name in _CELL_PARAMS},
        history=[(max(int(cell["best_epoch"]), 0), numbers)],
        tags={"sft.family": str(cell["family"]), "sft.row": str(cell["row"])},
        is_finished=cell["status"] != "diverged",
    )
