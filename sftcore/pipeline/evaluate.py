"""The evaluate stage: predict every split with the finished model and write its report."""

import os
from typing import Any

import numpy as np

from sftcore.data.store import open_store
from sftcore.errors import WeightsError
from sftcore.evaluation.predict import load_model, predict_probabilities, predictions_table
from sftcore.evaluation.report import write_report
from sftcore.pipeline.paths import EVALUATE_REPORT, MODEL, PREPARED
from sftcore.repository import scratch_folder
from sftcore.runtime import set_up
from sftcore.sections import Params
from sftcore.tracking import MODEL_TAG, check_store, open_run
from sftcore.training.checkpoints import discard_finished


def evaluate(params: Params) -> dict[str, Any]:
    """Write ``reports/evaluate``. No other stage opens the test split.

    Args:
        params: the seed, and the sections evaluate, runtime and tracking.

    Returns:
        The content of ``metrics.json``.

    Raises:
        WeightsError: the model is missing or was trained on other classes or another picture size.
    """
    check_store(enabled=params.tracking.enabled)
    device = str(set_up(params.runtime.device, params.runtime.num_threads))
    store = open_store(PREPARED, ("train", "val", "test"))
    network, record = load_model(MODEL, device)
    if (record.classes, record.image_size) != (store.classes, store.image_size):
        raise WeightsError(f"{MODEL} was trained on other data: run `dvc repro finetune`")
    # DVC has put this model away, so that its training need not be continued any more.
    discard_finished(scratch_folder() / "checkpoints", record.model_sha256)
    with open_run(
        enabled=params.tracking.enabled,
        experiment=params.tracking.experiment,
        name=os.environ.get("DVC_EXP_NAME", "evaluate"),
        tags={},
        key=(MODEL_TAG, record.model_sha256),
    ) as run:
        probability = predict_probabilities(
            network, store.images, mean=record.mean, std=record.std, device=device
        )
        samples = store.samples
        table = predictions_table(
            probability, store.labels, store.classes, list(samples["id"]), list(samples["split"])
        )
        metrics = write_report(
            table,
            store.classes,
            np.asarray(store.images),
            groups=list(samples["group"]),
            num_bootstrap=params.evaluate.num_bootstrap,
            confidence=params.evaluate.confidence,
            num_calibration_bins=params.evaluate.num_calibration_bins,
            num_most_wrong=params.evaluate.num_most_wrong,
            seed=params.seed,
            output=EVALUATE_REPORT,
        )
        run.log_metrics(flat_metrics(metrics))
        run.log_artifacts(EVALUATE_REPORT, "evaluate")
    return metrics


def flat_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """The report's numbers under the names that MLflow groups its charts by.

    Those of train and val are called ``final_``: without it they are numbers of an epoch.
    """
    return {
        f"{group}/{'final_' if group in ('train', 'val') else ''}{name}": float(value)
        for group, numbers in metrics.items()
        for name, value in numbers.items()
    }
