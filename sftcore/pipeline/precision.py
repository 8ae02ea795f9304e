"""Which precision a run computes its updates in."""

import logging
import math
from typing import TYPE_CHECKING

from sftcore.data.store import Store
from sftcore.foundations.artifacts import read_json, write_json
from sftcore.foundations.repository import scratch_folder
from sftcore.pipeline.paths import ENVIRONMENT
from sftcore.settings.tree import Params
from sftcore.stability.precision import BRAIN, FULL, HALF, TENSOR_FLOAT, changes_numbers
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.keys import training_key
from sftcore.training.loop import time_precisions
from sftcore.training.recipe import prepare_training

if TYPE_CHECKING:
    import torch

LOGGER = logging.getLogger("sftcore")
AUTO = "auto"


def own_key(
    params: Params, store: Store, device: "torch.device", num_threads: int, precision: str
) -> str:
    """The key of the training that the parameters describe; see :func:`training_key`."""
    return training_key(
        params.model,
        params.train,
        task=params.task,
        seed=params.seed,
        data=store.digest,
        device=device,
        num_threads=num_threads,
        mode=params.runtime.mode,
        environment=ENVIRONMENT,
        precision=precision,
    )


def resolve_precision(
    params: Params, store: Store, device: "torch.device", num_threads: int
) -> str:
    """The precision by name; ``auto`` is measured once and then kept beside the checkpoints.

    A timing decides, so another machine, or the same one on another day, may choose otherwise and
    get other numbers: what is kept lets an ended training go on as it began.

    Args:
        params: the seed, and the sections model, train and runtime.
        store: opened with the train and val splits.
        device: where to compute.
        num_threads: of one CPU operation.

    Raises:
        SFTError: see :func:`sftcore.training.recipe.train`.
    """
    if params.runtime.precision != AUTO:
        return changes_numbers(params.runtime.precision, device)
    key = own_key(params, store, device, num_threads, AUTO)
    file = scratch_folder() / "precision" / f"{key}.json"
    if file.is_file():
        return read_json(file)["precision"]
    start, plan = prepare_training(
        store, params.model, params.train, task=params.task, seed=params.seed, device=device
    )
    names = [FULL, TENSOR_FLOAT, BRAIN, HALF] if device.type == "cuda" else [FULL, BRAIN, HALF]
    seconds = time_precisions(start.network, plan, names, FeatureCache(FEATURE_BUDGET_BYTES))
    chosen = min(names, key=lambda name: seconds[name])
    listing = ", ".join(
        f"{name} {1000 * s:.0f} ms" if math.isfinite(s) else f"{name} not finite"
        for name, s in seconds.items()
    )
    LOGGER.warning("runtime.precision auto takes %s (an update: %s)", chosen, listing)
    write_json(file, {"precision": chosen})
    return chosen
