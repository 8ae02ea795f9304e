"""The fine-tune stage: read the store, train, write model, history and summary."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftcore.data.store import Store, open_store
from sftcore.evaluation.history_figure import history_figure, wise_ft_figure
from sftcore.evaluation.predict import WEIGHTS_FILE, save_model
from sftcore.evaluation.stability_figures import range_test_figure, updates_figure
from sftcore.evaluation.training_parts import training_parts
from sftcore.foundations.artifacts import (
    output_folder,
    sha256_file,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from sftcore.foundations.errors import DivergedError
from sftcore.foundations.progress import show_progress
from sftcore.foundations.repository import scratch_folder
from sftcore.foundations.runtime import set_up
from sftcore.foundations.tables import safe_cells
from sftcore.foundations.yaml_files import PARAMS_FILE, flatten, read_yaml
from sftcore.models.text.files import find_files
from sftcore.models.text.start import TextRecord, write_description
from sftcore.models.text.templates import OWN
from sftcore.pipeline.paths import FINETUNE_REPORT, MODEL, PREPARED
from sftcore.pipeline.precision import own_key, resolve_precision
from sftcore.pipeline.shown import shown_of
from sftcore.pipeline.telling import files_text, recipe_key, size_text, training_text
from sftcore.reporting.parts import write_parts
from sftcore.settings.tree import Params
from sftcore.stability.guard import GuardSettings, Incident
from sftcore.tasks.contract import Task
from sftcore.tasks.registry import TASKS
from sftcore.tracking import (
    FILES,
    MODEL_TAG,
    RECIPE_TAG,
    RUN_KEY_TAG,
    TRAINING,
    Run,
    changes_since,
    check_store,
    open_run,
    training_name,
)
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.measure import epoch_metrics
from sftcore.training.recipe import Trained, train
from sftcore.training.records import EpochRecord, columns_of
from sftcore.training.tables import (
    candidates_table,
    history_table,
    incidents_table,
    range_test_tables,
    updates_table,
)

if TYPE_CHECKING:
    import torch

_KEY_LENGTH = 12  # characters of a training's key that name a file for people


def finetune(params: Params) -> Trained:
    """Fine-tune the network; write ``models/finetuned`` and ``reports/finetune``.

    Args:
        params: the seed, and the sections model, train, runtime and tracking.

    Raises:
        DivergedError: training left the finite numbers, or the guard gave up; nothing is written.
        SFTError: see :func:`sftcore.training.recipe.train`.
    """
    check_store(enabled=params.tracking.enabled)
    device = set_up(params.runtime.device, params.runtime.num_threads, params.runtime.precision)
    store = open_store(PREPARED, ("train", "val"))
    settings = flatten(
        {
            "seed": params.seed,
            "model": params.model.model_dump(),
            "train": params.train.model_dump(),
            "runtime.num_threads": params.runtime.num_threads,
        }
    )
    precision = resolve_precision(params, store, device, params.runtime.num_threads)
    settings["runtime.precision"] = precision
    key = own_key(params, store, device, params.runtime.num_threads, precision)
    checkpoints = Checkpoints(
        scratch_folder() / "checkpoints" / key, params.runtime.checkpoint_seconds
    )
    changes = changes_since(read_yaml(PARAMS_FILE))
    with (
        checkpoints.locked(),
        open_run(
            enabled=params.tracking.enabled,
            experiment=params.tracking.experiment,
            name=training_name(params.model.backbone, changes),
            tags={RECIPE_TAG: recipe_key(params, store.digest)},
            key=(RUN_KEY_TAG, key),
            shown=shown_of(params.task),
        ) as run,
    ):
        run.log_params(settings)
        run.describe(TRAINING, _description(params, store, changes))
        run.describe(FILES, files_text())
        run.log_dataset(store.samples, name="prepared", digest=store.digest, context="training")
        trained = _train(params, store, device, precision, key, run, checkpoints)
        write_model(trained, store, params, precision)
        write_history(trained, _ids(store), params.train.guard, TASKS[params.task])
        run.log_artifacts(FINETUNE_REPORT, "finetune")
        run.log_model(MODEL)
        model_sha256 = sha256_file(MODEL / WEIGHTS_FILE)
        run.set_tags({MODEL_TAG: model_sha256})
        checkpoints.mark_finished(model_sha256)
    return trained


def _description(params: Params, store: Store, changes: Mapping[str, tuple[Any, Any]]) -> str:
    counts = {name: len(store.split(name)) for name in store.splits}
    return training_text(
        params.model.backbone,
        store.names,
        size_text(store.image_size, params.model.text.max_tokens),
        counts,
        changes,
        TASKS[params.task],
    )


def _train(
    params: Params,
    store: Store,
    device: "torch.device",
    precision: str,
    key: str,
    run: Run,
    checkpoints: Checkpoints,
) -> Trained:
    """Train with a progress bar, and stop with advice if it diverges."""
    num_epochs = params.train.head.num_epochs + params.train.epochs
    headline = f"val_{TASKS[params.task].scores[0]}"
    with show_progress("training", num_epochs, "epochs") as progress:

        def on_epoch(record: EpochRecord) -> None:
            numbers = {headline: record.scores[headline], "incidents": record.num_incidents}
            progress.advance(1, val_loss=record.val_loss, **numbers)
            run.log_metrics(epoch_metrics(record), record.epoch)

        trained = train(
            store,
            params.model,
            params.train,
            task=params.task,
            seed=params.seed,
            device=device,
            cache=FeatureCache(FEATURE_BUDGET_BYTES),
            on_epoch=on_epoch,
            checkpoints=checkpoints,
            precision=precision,
        )
    run.log_history([(i.step, incident_metrics(i)) for i in trained.result.incidents])
    if trained.result.diverged:
        text = f"training diverged in the {trained.result.diverged}"
        if trained.result.incidents:
            text += f"; every incident: {_keep_incidents(trained, store, key, run)}"
        if params.train.guard.answers == "none":  # else the guard has said what to do
            text += (
                f". Lower train.learning_rate ({params.train.learning_rate}) or "
                f"train.head.learning_rate ({params.train.head.learning_rate}), or set "
                "train.clipping.norm or train.schedule.warmup; train.guard.answers can recover "
                "from it"
            )
        raise DivergedError(text, len(trained.result.history))
    return trained


def _keep_incidents(trained: Trained, store: Store, key: str, run: Run) -> Path:
    """Write the incidents of a training that ended outside of its outputs, and tell MLflow."""
    file = scratch_folder() / "diverged" / f"{key[:_KEY_LENGTH]}.csv"
    table = incidents_table(trained.result, _ids(store), trained.plan.task.examples)
    write_csv(file, safe_cells(table))
    run.log_artifacts(file, "finetune")
    return file


def _ids(store: Store) -> dict[int, str]:
    """Names of the store's rows by their numbers."""
    return dict(zip(store.samples["row"].tolist(), store.samples["id"], strict=True))


def incident_metrics(incident: Incident) -> dict[str, float]:
    """An incident's numbers for MLflow, at its update."""
    return {
        f"guard/{incident.phase}_loss": incident.loss,
        f"guard/{incident.phase}_gradient_norm": incident.gradient_norm,
        f"guard/{incident.phase}_rate_factor": incident.rate_factor,
    }


def write_model(trained: Trained, store: Store, params: Params, precision: str) -> None:
    """Write the chosen tensors and all that is needed to use them."""
    pretrained, text = trained.start.record, params.model.text
    record: dict[str, Any] = {
        "backbone": params.model.backbone,
        "dropout": params.model.dropout,
        "pretrained": asdict(pretrained),
        "num_threads": params.runtime.num_threads,
        "mode": params.runtime.mode,
        "precision": precision,
    }
    record |= trained.plan.task.record()
    if params.train.canaries:
        planted = {"canaries": params.train.canaries, "canary_seed": params.seed}
        record["facts"] = record["facts"] | planted
    if isinstance(pretrained, TextRecord):
        # Whatever template was used lies beside the model, as its own.
        record["text"] = text.model_dump() | {
            "template": OWN,
            "tokenizer_sha256": pretrained.tokenizer_sha256,
        }
        files = find_files(params.model.backbone, params.model.weights)
        template = "" if trained.plan.task.has_new_head else text.template
        describe = partial(write_description, files, template=template)
        save_model(MODEL, trained.result.chosen_state, record, describe)
        return
    record |= {"mean": pretrained.mean, "std": pretrained.std}
    record |= {"image_size": store.image_size, "background": store.background}
    head = params.model.dense_head(store.target)
    if head is not None:
        record["head"] = head.model_dump()
    save_model(MODEL, trained.result.chosen_state, record)


def write_history(
    trained: Trained, ids: Mapping[int, str], guard: GuardSettings, task: type[Task]
) -> None:
    """Write the history, what could have been chosen, who was trained, and how stable it was.

    Args:
        trained: the training.
        ids: names of the store's rows by their numbers.
        guard: whose limits are drawn, whether or not it answers.
        task: that was trained.
    """
    result = trained.result
    history, updates = history_table(result), updates_table(result, guard)
    candidates, incidents = candidates_table(result), incidents_table(result, ids, task.examples)
    best, chosen = columns_of(result.best), result.candidates[result.chosen]
    headline, score = f"val_{task.scores[0]}", (task.scores[0], task.words[task.scores[0]])
    summary = {f"best_{name}": best[name] for name in best} | {
        "chosen": chosen.name,
        "chosen_val_loss": chosen.val_loss,
        f"chosen_{headline}": chosen.scores[headline],
        "num_incidents": len(incidents),
        "clipped_fraction": float(updates["is_clipped"].mean()) if len(updates) else 0.0,
    }
    line = candidates[candidates["name"] == "wise_ft"]
    with output_folder(FINETUNE_REPORT) as temporary:
        write_csv(temporary / "history.csv", history)
        write_bytes(
            temporary / "history.png",
            history_figure(history, result.best_epoch, score, task.loss_unit),
        )
        write_csv(temporary / "updates.csv", updates)
        write_bytes(temporary / "updates.png", updates_figure(updates, incidents))
        write_csv(temporary / "incidents.csv", safe_cells(incidents))
        write_csv(temporary / "candidates.csv", candidates)
        write_text(temporary / "parameters.txt", trained.claims + "\n")
        if len(line):
            write_bytes(temporary / "wise_ft.png", wise_ft_figure(line, score))
        if result.range_tests:
            tests, suggestions = range_test_tables(result)
            write_csv(temporary / "range_test.csv", tests)
            write_csv(temporary / "suggestions.csv", suggestions)
            write_bytes(temporary / "range_test.png", range_test_figure(tests, suggestions))
        write_json(temporary / "summary.json", summary)
        write_json(temporary / "val.json", {"val_loss": round(chosen.val_loss, 4)})
        drawn = [file.name for file in temporary.glob("*.png")]
        words = f"{chosen.name} {', '.join(map(str, chosen.epochs))}"
        not_seen = trained.plan.examples.not_seen(np.array(sorted(ids)))
        write_parts(
            temporary,
            training_parts(history, incidents, words, result.best_epoch, drawn, task, not_seen),
        )
