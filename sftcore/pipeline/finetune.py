"""The fine-tune stage: read the store, train, write model, history and summary."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm

from sftcore.artifacts import (
    output_folder,
    sha256_file,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from sftcore.data.store import Store, open_store
from sftcore.errors import DivergedError
from sftcore.evaluation.history_figure import history_figure, wise_ft_figure
from sftcore.evaluation.predict import WEIGHTS_FILE, save_model
from sftcore.params import flatten
from sftcore.pipeline.paths import ENVIRONMENT, FINETUNE_REPORT, MODEL, PREPARED
from sftcore.recipe import Trained, train, training_key
from sftcore.repository import scratch_folder
from sftcore.runtime import set_up
from sftcore.sections import ModelParams, Params
from sftcore.tracking import MODEL_TAG, RUN_KEY_TAG, Run, check_store, open_run
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.measure import epoch_metrics
from sftcore.training.state import EpochRecord, FitResult

if TYPE_CHECKING:
    import torch


def finetune(params: Params) -> Trained:
    """Fine-tune the network; write ``models/finetuned`` and ``reports/finetune``.

    Args:
        params: the seed, and the sections model, train, runtime and tracking.

    Raises:
        DivergedError: training left the finite numbers; nothing is written.
        SFTError: see :func:`sftcore.recipe.train`.
    """
    check_store(enabled=params.tracking.enabled)
    device = set_up(params.runtime.device, params.runtime.num_threads)
    store = open_store(PREPARED, ("train", "val"))
    settings = flatten(
        {
            "seed": params.seed,
            "model": params.model.model_dump(),
            "train": params.train.model_dump(),
            "runtime.num_threads": params.runtime.num_threads,
        }
    )
    key = training_key(
        params.model,
        params.train,
        seed=params.seed,
        data=store.digest,
        device=device,
        num_threads=params.runtime.num_threads,
        mode=params.runtime.mode,
        environment=ENVIRONMENT,
    )
    checkpoints = Checkpoints(
        scratch_folder() / "checkpoints" / key, params.runtime.checkpoint_seconds
    )
    with (
        checkpoints.locked(),
        open_run(
            enabled=params.tracking.enabled,
            experiment=params.tracking.experiment,
            name=os.environ.get("DVC_EXP_NAME", "finetune"),
            tags={},
            key=(RUN_KEY_TAG, key),
        ) as run,
    ):
        run.log_params(settings)
        run.log_dataset(store.samples, name="prepared", digest=store.digest, context="training")
        trained = _train(params, store, device, run, checkpoints)
        write_model(trained, store, params.model)
        write_history(trained)
        run.log_artifacts(FINETUNE_REPORT, "finetune")
        run.log_model(MODEL, store.image_size, len(store.classes))
        model_sha256 = sha256_file(MODEL / WEIGHTS_FILE)
        run.set_tags({MODEL_TAG: model_sha256})
        checkpoints.mark_finished(model_sha256)
    return trained


def _train(
    params: Params, store: Store, device: "torch.device", run: Run, checkpoints: Checkpoints
) -> Trained:
    """Train with a progress bar, and stop with advice if it diverges."""
    num_epochs = params.train.head_epochs + params.train.epochs
    with tqdm(total=num_epochs, unit="epoch", disable=None) as progress:

        def on_epoch(record: EpochRecord) -> None:
            progress.update()
            progress.set_postfix(val_loss=record.val_loss, val_accuracy=record.val_accuracy)
            run.log_metrics(epoch_metrics(record), record.epoch)

        trained = train(
            store,
            params.model,
            params.train,
            seed=params.seed,
            device=device,
            cache=FeatureCache(FEATURE_BUDGET_BYTES),
            on_epoch=on_epoch,
            checkpoints=checkpoints,
        )
    if trained.result.diverged:
        raise DivergedError(
            f"training diverged in the {trained.result.diverged}. Lower train.learning_rate "
            f"({params.train.learning_rate:g}) or train.head_learning_rate "
            f"({params.train.head_learning_rate:g}), or set train.clip_norm or "
            "train.warmup_fraction",
            len(trained.result.history),
        )
    return trained


def write_model(trained: Trained, store: Store, model: ModelParams) -> None:
    """Write the chosen tensors and all that is needed to use them."""
    record = {
        "backbone": model.backbone,
        "dropout": model.dropout,
        "classes": store.classes,
        "image_size": store.image_size,
        "mean": trained.start.record.mean,
        "std": trained.start.record.std,
        "background": store.background,
        "pretrained": asdict(trained.start.record),
    }
    save_model(MODEL, trained.result.chosen_state, record)


def write_history(trained: Trained) -> None:
    """Write the history, what could have been chosen, the best epoch, and who was trained."""
    result = trained.result
    history = history_table(result)
    candidates = candidates_table(result)
    best, chosen = asdict(result.best), result.candidates[result.chosen]
    summary = {f"best_{name}": best[name] for name in best} | {
        "chosen": chosen.name,
        "chosen_val_loss": chosen.val_loss,
        "chosen_val_accuracy": chosen.val_accuracy,
    }
    line = candidates[candidates["name"] == "wise_ft"]
    with output_folder(FINETUNE_REPORT) as temporary:
        write_csv(temporary / "history.csv", history)
        write_bytes(temporary / "history.png", history_figure(history, result.best_epoch))
        write_csv(temporary / "candidates.csv", candidates)
        write_text(temporary / "parameters.txt", trained.claims + "\n")
        if len(line):
            write_bytes(temporary / "wise_ft.png", wise_ft_figure(line))
        write_json(temporary / "summary.json", summary)


def candidates_table(result: FitResult) -> pd.DataFrame:
    """Parameters that the training could end with, one row each; ``is_chosen`` marks the model."""
    table = pd.DataFrame([asdict(candidate) for candidate in result.candidates])
    table["epochs"] = [" ".join(map(str, c.epochs)) for c in result.candidates]
    table.insert(0, "is_chosen", [i == result.chosen for i in range(len(table))])
    return table


def history_table(result: FitResult) -> pd.DataFrame:
    """The history as a table, one row per epoch."""
    return pd.DataFrame([asdict(record) for record in result.history])
