"""Tell MLflow what it has missed: what waits for it, and what DVC took from its cache."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.ablation.write import CELLS_FILE
from sftcore.evaluation.predict import RECORD_FILE
from sftcore.foundations.artifacts import read_json, sha256_file
from sftcore.foundations.errors import TrackingError
from sftcore.pipeline.evaluate import flat_metrics
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT, FINETUNE_REPORT, MODEL
from sftcore.settings.params import PARAMS_FILE, flatten, read_yaml
from sftcore.stability.precision import FULL
from sftcore.tracking import (
    ABLATION_TAG,
    EXPERIMENT_TAG,
    MODEL_TAG,
    check_store,
    contents_of,
    open_run,
    replay_pending,
)
from sftcore.training.measure import epoch_metrics
from sftcore.training.records import EpochRecord

_WANTED = (PARAMS_FILE, MODEL, FINETUNE_REPORT, EVALUATE_REPORT, ABLATION_REPORT)
_CELL_METRICS = {
    "train_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "loss": "judged/loss",
    "accuracy": "judged/accuracy",
    "weight_distance": "weights/distance",
}


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
            files = DVCFileSystem(url=".", rev=revision)
            folder = temporary / revision
            folder.mkdir()
            for path in _WANTED:
                try:
                    files.get(f"/{path.as_posix()}", str(folder / path), recursive=True)
                except (FileNotFoundError, OSError):
                    continue  # what is not there is named by whoever looks for it
            yield Version(folder, name, baseline)


def _backfill(version: Version) -> Iterator[str]:
    try:
        tree = read_yaml(version.folder / PARAMS_FILE)
        experiment = tree["tracking"]["experiment"]
        yield from _backfill_model(version, tree, experiment)
        yield from _backfill_study(version, tree, experiment)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).relative_to(version.folder).as_posix()
        yield f"{version.title}: {missing} is not there"


def _options(version: Version, experiment: str, key: tuple[str, str]) -> dict[str, Any]:
    tags = {EXPERIMENT_TAG: version.experiment, "dvc.baseline_rev": version.baseline}
    return {
        "experiment": experiment,
        "tags": tags,
        "key": key,
        "any_experiment": not version.experiment,
    }


def _backfill_model(version: Version, tree: dict[str, Any], experiment: str) -> Iterator[str]:
    """The run of the fine-tuned model, with its history, its test and its files."""
    record = read_json(version.folder / MODEL / RECORD_FILE)
    history = pd.read_csv(version.folder / FINETUNE_REPORT / "history.csv")
    metrics = read_json(version.folder / EVALUATE_REPORT / "metrics.json")
    options = _options(version, experiment, (MODEL_TAG, record["model_sha256"]))
    if {"train/loss", "test/accuracy", "finetune/", "evaluate/", "model"} <= contents_of(**options):
        return
    settings = {name: tree[name] for name in ("seed", "model", "train")}
    epochs = [EpochRecord(**row) for row in history.to_dict("records")]
    with open_run(enabled=True, name=version.experiment or "finetune", **options) as run:
        num_threads, precision = tree["runtime"]["num_threads"], record.get("precision", FULL)
        settings |= {"runtime.num_threads": num_threads, "runtime.precision": precision}
        run.log_params(flatten(settings))
        run.log_history([(epoch.epoch, epoch_metrics(epoch)) for epoch in epochs])
        run.log_metrics(flat_metrics(metrics))
        run.log_artifacts(version.folder / FINETUNE_REPORT, "finetune")
        run.log_artifacts(version.folder / EVALUATE_REPORT, "evaluate")
        run.log_model(version.folder / MODEL)
    yield f"{version.title}: told MLflow of the model {record['model_sha256'][:12]}"


def _backfill_study(version: Version, tree: dict[str, Any], experiment: str) -> Iterator[str]:
    """The run of the ablation, with a child run per cell."""
    table = version.folder / ABLATION_REPORT / CELLS_FILE
    digest = sha256_file(table)
    options = _options(version, experiment, (ABLATION_TAG, digest))
    if "ablation/" in contents_of(**options):
        return
    with open_run(enabled=True, name=f"ablation {version.experiment}".strip(), **options) as run:
        run.log_params(flatten({"seed": tree["seed"], "ablation": tree["ablation"]}))
        for cell in pd.read_csv(table, na_filter=True).to_dict("records"):
            numbers = {name: float(cell[column]) for column, name in _CELL_METRICS.items()}
            run.log_child(
                f"{cell['family']} {cell['row']} replicate {cell['replicate']}",
                params={name: cell[name] for name in _CELL_PARAMS},
                history=[(max(int(cell["best_epoch"]), 0), numbers)],
                tags={"sft.family": str(cell["family"]), "sft.row": str(cell["row"])},
                is_finished=cell["status"] != "diverged",
            )
        run.log_artifacts(table.parent, "ablation")
    yield f"{version.title}: told MLflow of the ablation {digest[:12]}"
