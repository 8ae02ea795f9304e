"""The fine-tune stage: read the store, train, write model, history and summary."""

from dataclasses import asdict

import pandas as pd
from tqdm import tqdm

from sftcore.artifacts import output_folder, sha256_json, write_bytes, write_csv, write_json
from sftcore.data.store import open_store
from sftcore.errors import DivergedError
from sftcore.evaluation.history_figure import history_figure
from sftcore.evaluation.predict import save_model
from sftcore.params import ModelParams, TrainParams
from sftcore.pipeline.paths import FINETUNE_REPORT, MODEL, PREPARED
from sftcore.recipe import Trained, train
from sftcore.runtime import set_up
from sftcore.tracking import Run
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.loop import EpochRecord, FitResult


def finetune(
    *,
    seed: int,
    model: ModelParams,
    train_params: TrainParams,
    device: str,
    num_threads: int,
    run: Run,
) -> Trained:
    """Fine-tune the network and write ``models/finetuned`` and ``reports/finetune``.

    Args:
        seed: of the run.
        model: backbone, weights, head.
        train_params: the recipe.
        device: where to compute.
        num_threads: of one CPU operation.
        run: hears of parameters, epochs and the model.

    Raises:
        DivergedError: training left the finite numbers; nothing is written.
        SFTError: see :func:`sftcore.recipe.train`.
    """
    chosen = set_up(device, num_threads)
    store = open_store(PREPARED, ("train", "val"))
    run.log_dataset(store.samples, digest=store.digest, name="prepared", context="training")
    epochs = tqdm(total=train_params.head_epochs + train_params.epochs, unit="epoch", disable=None)

    def on_epoch(record: EpochRecord) -> None:
        epochs.update()
        epochs.set_postfix(val_loss=record.val_loss, val_accuracy=record.val_accuracy)
        run.log_epoch(record.epoch, epoch_metrics(record))

    trained = train(
        store,
        model,
        train_params,
        seed=seed,
        device=chosen,
        cache=FeatureCache(FEATURE_BUDGET_BYTES),
        on_epoch=on_epoch,
    )
    epochs.close()
    result = trained.result
    if result.diverged:
        raise DivergedError(
            f"training diverged in the {result.diverged}. Lower train.learning_rate "
            f"({train_params.learning_rate:g}) or train.head_learning_rate "
            f"({train_params.head_learning_rate:g}), or set train.clip_norm or "
            "train.warmup_fraction",
            len(result.history),
        )
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
    save_model(MODEL, result.best_state, record)
    write_history(result)
    return trained


def write_history(result: FitResult) -> None:
    """Write the history as CSV and PNG, and the best epoch as JSON."""
    history = history_table(result)
    best = asdict(result.best)
    with output_folder(FINETUNE_REPORT) as temporary:
        write_csv(temporary / "history.csv", history)
        write_bytes(temporary / "history.png", history_figure(history, result.best_epoch))
        write_json(temporary / "summary.json", {f"best_{name}": best[name] for name in best})


def history_table(result: FitResult) -> pd.DataFrame:
    """The history as a table, one row per epoch."""
    return pd.DataFrame([asdict(record) for record in result.history])


def epoch_metrics(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers under the names that MLflow groups its charts by."""
    return {
        "train/loss": record.train_loss,
        "train/accuracy": record.train_accuracy,
        "val/loss": record.val_loss,
        "val/accuracy": record.val_accuracy,
        "optimization/learning_rate": record.learning_rate,
        "optimization/gradient_norm": record.gradient_norm,
        "weights/norm": record.weight_norm,
        "weights/distance": record.weight_distance,
    }


def run_key(seed: int, model: ModelParams, train_params: TrainParams, digest: str) -> str:
    """What a fine-tuning depends on, as a hash: equal keys, equal runs."""
    return sha256_json([seed, model.model_dump(), train_params.model_dump(), digest])
