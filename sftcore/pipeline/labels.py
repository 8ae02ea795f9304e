"""The labels stage: name classes of the train and validation examples that may be wrong."""

import numpy as np
import torch

from sftcore.data.loader import split_batches
from sftcore.data.store import Store, open_store
from sftcore.evaluation.frozen import frozen_network
from sftcore.evaluation.predict import look_at
from sftcore.foundations.progress import show_progress
from sftcore.foundations.runtime import set_up
from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.foundations.settings import Seed
from sftcore.inspection.label_report import (
    why_not_audited,
    write_label_report,
    write_no_label_report,
)
from sftcore.inspection.out_of_fold import grouped_folds, out_of_fold
from sftcore.models.settings import ModelSettings
from sftcore.pipeline.paths import LABELS_REPORT, PREPARED
from sftcore.settings.reading import Sections

_CHUNK = 512  # examples held in memory at once


class LabelsParams(Sections):
    """What the stage reads."""

    seed: Seed = 0
    model: ModelSettings = ModelSettings()
    runtime: RuntimeSettings = RuntimeSettings()


def audit_labels(params: LabelsParams) -> list[str]:
    """Write ``reports/labels``; nothing is changed or left out because of it.

    Args:
        params: the seed, and the sections model and runtime.

    Returns:
        Sentences on what was found.

    Raises:
        DataError: there are no prepared data.
        WeightsError: unknown backbone, or weights that do not fit.
        DeviceError: the named device is not there.
    """
    store = open_store(PREPARED, ("train", "val"))
    if reason := why_not_audited(store):
        return write_no_label_report(LABELS_REPORT, reason)
    device = set_up(params.runtime.device, params.runtime.num_threads)
    features = frozen_features(params.model, params.seed, store, device)
    labels = store.labels[store.samples["row"].to_numpy()]
    folds = grouped_folds(labels, store.samples["group"].to_numpy(dtype=str))
    judged = out_of_fold(features, torch.from_numpy(labels).to(device), folds, len(store.classes))
    return write_label_report(LABELS_REPORT, store, labels, judged)


def frozen_features(
    model: ModelSettings, seed: int, store: Store, device: torch.device
) -> torch.Tensor:
    """What the pretrained backbone makes of the open examples, before any fine-tuning.

    Args:
        model: backbone and weights.
        seed: of a backbone without weights.
        store: opened for the splits in question.
        device: where it is computed.

    Returns:
        float32 [N, D] on the device, in the order of the store's samples.
    """
    frozen = frozen_network(
        model, num_outputs=len(store.classes), image_size=store.image_size, seed=seed,
        device=device,
    )  # fmt: skip
    rows = store.samples["row"].to_numpy(dtype=np.int64)
    parts = []
    with show_progress("labels", len(rows), store.kind) as progress:
        for chunk in split_batches(rows, _CHUNK):
            parts.append(look_at(frozen.network, store.read(chunk), frozen.sight).features)
            progress.advance(len(chunk))
    return torch.cat(parts)
