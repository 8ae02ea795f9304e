"""The evaluate stage: predict every split with the finished model and write its report."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sftcore.data.store import Store, open_store
from sftcore.evaluation.predict import (
    ModelRecord,
    Seen,
    load_model,
    look_at,
)
from sftcore.evaluation.settings import EvaluateSettings
from sftcore.foundations.errors import WeightsError
from sftcore.foundations.repository import scratch_folder
from sftcore.foundations.runtime import set_up
from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.foundations.settings import Seed
from sftcore.foundations.yaml_files import PARAMS_FILE, read_yaml
from sftcore.metrics.paired_test import smallest_difference
from sftcore.models.network import build_start
from sftcore.models.settings import ModelSettings
from sftcore.pipeline.paths import DECISION, EVALUATE_REPORT, MODEL, PREPARED
from sftcore.pipeline.telling import answer_text, headline_metrics
from sftcore.reporting.parts import Part
from sftcore.settings.reading import Sections
from sftcore.settings.tracking import TrackingSettings
from sftcore.tasks.classification.baselines import Baseline, rows_to_beat
from sftcore.tasks.classification.predictions import predictions_table
from sftcore.tasks.classification.report import write_report
from sftcore.tracking import MODEL_TAG, TEST, changes_since, check_store, open_run, training_name
from sftcore.training.checkpoints import discard_finished
from sftcore.use.decision import save_decision
from sftcore.use.parts import use_parts
from sftcore.use.rules import Wanted, fix_rules


class EvaluateParams(Sections):
    """What the stage reads."""

    seed: Seed = 0
    model: ModelSettings = ModelSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    tracking: TrackingSettings = TrackingSettings()


def evaluate(params: EvaluateParams) -> dict[str, Any]:
    """Write ``reports/evaluate`` and ``models/decision``. No other stage opens the test split.

    Args:
        params: the seed, and the sections model, evaluate, runtime and tracking.

    Returns:
        The content of ``metrics.json``.

    Raises:
        WeightsError: the model is missing, was trained on other classes or another picture size,
            or began with other weights than the parameters name.
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
        name=training_name(params.model.backbone, changes_since(read_yaml(PARAMS_FILE))),
        tags={},
        key=(MODEL_TAG, record.model_sha256),
    ) as run:
        seen = look_at(network, store.images, mean=record.mean, std=record.std, device=device)
        baselines = _rows_to_beat(store, record, params.model, params.seed, device)
        samples = store.samples
        table = predictions_table(
            seen.probability, store.labels, store.classes, list(samples["id"]),
            list(samples["split"]),
        )  # fmt: skip
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
            baselines=baselines,
            add_parts=_fix_rules(seen, store, record, params.evaluate, device),
        )
        run.log_metrics(headline_metrics(metrics))
        run.describe(TEST, answer_text(metrics))
        run.log_artifacts(EVALUATE_REPORT, "evaluate")
        run.link()
    return metrics


def _fix_rules(
    seen: Seen, store: Store, record: ModelRecord, settings: EvaluateSettings, device: str
) -> Callable[[Path], list[Part]]:
    """Write ``models/decision``; what writes into a folder what the report says of it."""
    samples = store.samples
    rows = {name: store.split(name) for name in ("train", "val", "test")}
    wanted = Wanted(
        settings.coverage, settings.answer_accuracy, settings.known_fraction, settings.confidence
    )
    fixed = fix_rules(
        seen.features, seen.probability, store.labels, samples["group"].to_numpy(dtype=object),
        rows, wanted, model_sha256=record.model_sha256, device=torch.device(device).type,
    )  # fmt: skip
    save_decision(DECISION, fixed.decision, fixed.directions)
    ids = {name: samples["id"].to_numpy()[rows[name]].tolist() for name in ("val", "test")}
    return partial(use_parts, fixed, ids)


def _rows_to_beat(
    store: Store, record: ModelRecord, model: ModelSettings, seed: int, device: str
) -> list[Baseline]:
    """The rows to beat, on features of the backbone as it was before fine-tuning.

    Raises:
        WeightsError: the parameters name another backbone or other weights than the model's record.
    """
    start = build_start(
        backbone=model.backbone,
        weights=model.weights,
        num_classes=len(store.classes),
        image_size=store.image_size,
        dropout=0.0,
        seed=seed,
        device=torch.device(device),
    )
    began = record.backbone, record.pretrained["origin"], record.pretrained["sha256"]
    if (model.backbone, start.record.origin, start.record.sha256) != began:
        raise WeightsError(
            f"{MODEL} began with {began[0]} ({began[1]}), and params.yaml names {model.backbone} "
            f"({start.record.origin}): run `dvc repro finetune`"
        )
    features = look_at(
        start.network.eval(), store.images,
        mean=start.record.mean, std=start.record.std, device=device,
    ).features  # fmt: skip
    labels = torch.from_numpy(store.labels).to(device)
    train, val, test = (
        torch.from_numpy(store.split(name)).to(device) for name in ("train", "val", "test")
    )
    return rows_to_beat(
        (features[train], labels[train]), (features[val], labels[val]), features[test],
        len(store.classes),
    )  # fmt: skip


def first_answer(metrics: dict[str, Any]) -> list[str]:
    """The test accuracy with its interval, and those of the rows to beat, a line each.

    Args:
        metrics: see :func:`evaluate`.
    """
    test = metrics["test"]
    lines = [("fine-tuned", test["accuracy"], test["accuracy_low"], test["accuracy_high"])]
    for name, row in metrics["baselines"].items():
        numbers = (row["test_accuracy"], row["test_accuracy_low"], row["test_accuracy_high"])
        lines.append((name.replace("_", " "), *numbers))
    confidence = metrics["interval"]["confidence"]
    title = f"accuracy on {test['num_pictures']} test pictures, {confidence:.0%} interval"
    return [
        title,
        *(f"  {name:<20} {v:.3f} [{low:.3f}, {high:.3f}]" for name, v, low, high in lines),
        *_paired_line(metrics.get("paired", {})),
    ]


def _paired_line(paired: dict[str, float]) -> list[str]:
    """Where model and logistic regression differ, and what such a test split can show of it."""
    if not paired:
        return []
    better, worse = int(paired["num_better"]), int(paired["num_worse"])
    count = int(paired["num_pictures"])
    visible = smallest_difference(count, (better + worse) / count)
    shown = "no difference" if math.isnan(visible) else f"differences from {visible:.3f}"
    return [
        f"only fine-tuned right on {better}, only logistic regression on {worse} (p "
        f"{paired['p_value']:.2g}); so many pictures show {shown}"
    ]
