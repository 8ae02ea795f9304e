"""The evaluate stage: predict every split with the finished model and write its report."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from sftcore.data.store import Store, open_store
from sftcore.evaluation.attribution import explain_texts
from sftcore.evaluation.frozen import Frozen, frozen_network, maps_of
from sftcore.evaluation.predict import FineTuned, ModelRecord, Seen, load_model, look_at
from sftcore.evaluation.settings import EvaluateSettings
from sftcore.evaluation.sight import TextSight
from sftcore.evaluation.speaking import speaker_of
from sftcore.foundations.errors import WeightsError
from sftcore.foundations.repository import scratch_folder
from sftcore.foundations.runtime import set_up
from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.foundations.settings import Seed
from sftcore.foundations.yaml_files import PARAMS_FILE, read_yaml
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.dense.maps import Maps
from sftcore.models.settings import ModelSettings
from sftcore.pipeline.paths import DECISION, EVALUATE_REPORT, MODEL, PREPARED
from sftcore.pipeline.results import answer_text, headline_metrics
from sftcore.pipeline.shown import shown_of
from sftcore.settings.reading import Sections
from sftcore.settings.tracking import TrackingSettings
from sftcore.tasks.finished import Explain, Finished, unexplained
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
)
from sftcore.tasks.reports import report_for
from sftcore.tracking import MODEL_TAG, TEST, changes_since, check_store, open_run, training_name
from sftcore.training.checkpoints import discard_finished
from sftcore.use.contract import ToJudge
from sftcore.use.decision import save_decision
from sftcore.use.rules import Wanted
from sftcore.use.usages import USAGES


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
    model = load_model(MODEL, device)
    record = model.record
    if (record.names, record.image_size) != (store.names, store.image_size):
        raise WeightsError(f"{MODEL} was trained on other data: run `dvc repro finetune`")
    report = report_for(record.task, record.names, record.facts)
    # DVC has put this model away, so that its training need not be continued any more.
    discard_finished(scratch_folder() / "checkpoints", record.model_sha256)
    with open_run(
        enabled=params.tracking.enabled,
        experiment=params.tracking.experiment,
        name=training_name(params.model.backbone, changes_since(read_yaml(PARAMS_FILE))),
        tags={},
        key=(MODEL_TAG, record.model_sha256),
        shown=shown_of(record.task),
    ) as run:
        seen = look_at(model.network, store.read(), model.sight, report.answers)
        frozen = _frozen(store, record, params.model, params.seed, device)
        baselines = _rows_to_beat(store, report, frozen, device)
        finished = Finished(
            answers=seen.answers,
            targets=store.targets,
            ids=list(store.samples["id"]),
            splits=list(store.samples["split"]),
            groups=list(store.samples["group"]),
            examples=store.read(),
            explain=_explain(model),
            speaker=speaker_of(model.network, model.sight),
            before=speaker_of(frozen.network, frozen.sight),
        )
        metrics = report.write(
            finished,
            _measuring(params.evaluate, params.seed),
            EVALUATE_REPORT,
            baselines,
            _fix_rules(seen, store, record, params.evaluate, device),
        )
        run.log_metrics(headline_metrics(metrics))
        run.describe(TEST, answer_text(metrics))
        run.log_artifacts(EVALUATE_REPORT, "evaluate")
        run.link()
    return metrics


def _explain(model: FineTuned) -> Explain:
    """Which words answers rest on, where the model reads texts."""
    if isinstance(model.sight, TextSight):
        return partial(explain_texts, model.network, model.sight)
    return unexplained


def _fix_rules(
    seen: Seen, store: Store, record: ModelRecord, settings: EvaluateSettings, device: str
) -> AddParts:
    """Write ``models/decision``; what writes into a folder what the report says of it."""
    samples = store.samples
    judged = ToJudge(
        features=seen.features,
        answers=seen.answers,
        targets=store.targets,
        groups=samples["group"].to_numpy(dtype=object),
        rows={name: store.split(name) for name in ("train", "val", "test")},
    )
    wanted = Wanted(
        settings.coverage, settings.answer_accuracy, settings.known_fraction, settings.confidence
    )
    usage = USAGES[record.task](record.names)
    fixed = usage.fix(
        judged, wanted, model_sha256=record.model_sha256, device=torch.device(device).type
    )
    save_decision(DECISION, fixed.decision, fixed.directions)
    ids = {name: samples["id"].to_numpy()[judged.rows[name]].tolist() for name in ("val", "test")}
    return partial(usage.parts, fixed, ids, examples=record.kind)


def _frozen(
    store: Store, record: ModelRecord, model: ModelSettings, seed: int, device: str
) -> Frozen:
    """The network as it was before fine-tuning.

    Raises:
        WeightsError: the parameters name another backbone or other weights than the model's record.
    """
    frozen = frozen_network(
        model, num_outputs=len(store.names), image_size=store.image_size, seed=seed,
        device=torch.device(device), goes_on=record.kind == "dialogues", target=store.target,
    )  # fmt: skip
    began = record.backbone, record.pretrained["origin"], record.pretrained["sha256"]
    if (model.backbone, frozen.record.origin, frozen.record.sha256) != began:
        raise WeightsError(
            f"{MODEL} began with {began[0]} ({began[1]}), and params.yaml names {model.backbone} "
            f"({frozen.record.origin}): run `dvc repro finetune`"
        )
    return frozen


def _rows_to_beat(store: Store, report: TaskReport, frozen: Frozen, device: str) -> list[Baseline]:
    """The rows to beat, on features of the backbone as it was, or as it speaks."""
    speaker = speaker_of(frozen.network, frozen.sight)
    targets = torch.from_numpy(store.targets).to(device)
    features = torch.zeros(len(targets), 0, device=device)
    if speaker is None:
        features = look_at(frozen.network, store.read(), frozen.sight).features

    def known(split: str) -> Known:
        rows = store.split(split)
        of = torch.from_numpy(rows).to(device)
        read = partial(store.read, rows)
        maps = None
        if frozen.network.strides:
            maps = partial(_maps, frozen, read)
        return Known(features[of], read, targets[of], speaker=speaker, maps=maps)

    test = known("test")
    shown = Shown(test.features, test.read, speaker=speaker, maps=test.maps)
    return report.rows_to_beat(known("train"), known("val"), shown)


def _maps(frozen: Frozen, read: Callable[[], np.ndarray]) -> Maps:
    return maps_of(frozen.network, read(), frozen.sight)


def _measuring(settings: EvaluateSettings, seed: int) -> Measuring:
    return Measuring(
        num_resamples=settings.num_bootstrap,
        confidence=settings.confidence,
        num_bins=settings.num_calibration_bins,
        num_most_wrong=settings.num_most_wrong,
        coverage=settings.coverage,
        num_prompts=settings.answers.num_prompts,
        most_tokens=settings.answers.most_tokens,
        seed=seed,
    )
