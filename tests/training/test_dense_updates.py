"""Two updates of masks and of boxes give the same bits twice, on a CPU and where there is CUDA.

Determinism is asked for, so an operation that CUDA cannot compute deterministically, in an update
or in what is measured after it, is an error of its own.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.data.pictures.annotated import NO_BOX
from sftcore.data.store import Store
from sftcore.foundations.runtime import set_up
from sftcore.models.dense.maps import Maps
from sftcore.models.settings import ModelSettings
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import FitResult
from sftcore.training.settings import TrainSettings
from tests.data.painted import paint

SIDE, NUM_TRAIN, NUM_VAL, NUM_SHAPES = 64, 16, 4, 3
TARGETS = {"segmentation": "masks", "detection": "boxes"}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
]


def painted_store(task: str) -> Store:
    """Scenes of three shapes: one class each, and the ground where there are masks."""
    scenes = paint(NUM_TRAIN + NUM_VAL, SIDE, seed=1, shapes=NUM_SHAPES)
    assert scenes.masks is not None
    assert scenes.boxes is not None
    names = [f"shape {number}" for number in range(1, NUM_SHAPES + 1)]
    targets = np.tile(NO_BOX, (len(scenes.images), NUM_SHAPES, 1))
    offsets = scenes.boxes.offsets.numpy()
    for picture, (low, high) in enumerate(pairwise(offsets)):
        targets[picture, : high - low, :4] = scenes.boxes.corners[low:high]
        targets[picture, : high - low, 4] = scenes.boxes.classes[low:high] - 1
    if task == "segmentation":
        names, targets = ["background", *names], scenes.masks.numpy()
    splits = ["train"] * NUM_TRAIN + ["val"] * NUM_VAL
    samples = pd.DataFrame({"row": range(len(splits)), "split": splits})
    samples["group"], samples["stratum"] = samples["row"].astype(str), "all"
    return Store(
        examples=scenes.images.permute(0, 2, 3, 1).contiguous().numpy(), targets=targets,
        samples=samples, names=names, digest=task, splits=("train", "val"),
        target=TARGETS[task], facts={"background": [255, 255, 255]},
    )  # type: ignore[arg-type]  # fmt: skip


def two_updates(task: str, device: str) -> FitResult:
    """Of all blocks and the head, with all that changes a picture and with every loss."""
    model = ModelSettings.model_validate({
        "backbone": "timm/test_efficientnet", "weights": "none", "trainable_blocks": "all",
        "dropout": 0.1, "segmentation": {"width": 16}, "detection": {"width": 16, "num_convs": 1},
    })  # fmt: skip
    recipe = TrainSettings.model_validate({
        "epochs": 1, "batch_size": NUM_TRAIN // 2, "optimizer": "adamw", "batch_norm": "train",
        "head": {"method": "descend", "epochs": 0}, "range_test": {"enabled": False},
        "augmentation": {"strength": 0.5, "copy_paste": 0.5 * (task == "segmentation")},
        "pixel_loss": {"dice": float(task == "segmentation")},
    })  # fmt: skip
    return train(
        painted_store(task), model, recipe, task=task, seed=0, device=set_up(device, 1),
        cache=FeatureCache(1 << 28), on_epoch=lambda record: None,
    ).result  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("task", list(TARGETS))
def test_two_updates_give_the_same_bits_twice(task: str, device: str) -> None:
    first, second = (two_updates(task, device) for _ in range(2))
    assert len(first.updates) == 2
    assert first.history[-1].weight_distance > 0
    assert repr(first.history) == repr(second.history)
    assert vars(first.updates) == vars(second.updates)
    for name, tensor in first.chosen_state.items():
        assert tensor.device.type == device
        assert torch.equal(tensor, second.chosen_state[name]), name


@pytest.mark.parametrize("task", list(TARGETS))
def test_a_transformer_learns_the_same_with_its_map_kept_and_without(task: str) -> None:
    """The head first, on the one map of a backbone that is run whole, then the last block too."""
    model = ModelSettings.model_validate({
        "backbone": "timm/test_vit", "weights": "none", "trainable_blocks": 2,
        "segmentation": {"width": 16}, "detection": {"width": 16, "num_convs": 1},
    })  # fmt: skip
    recipe = TrainSettings.model_validate({
        "epochs": 1, "batch_size": 4, "head": {"method": "descend", "epochs": 2},
        "optimizer": "adamw", "learning_rate": 0.003,
    })  # fmt: skip
    caches = [FeatureCache(budget) for budget in (1 << 28, 0)]
    results = [
        train(
            painted_store(task), model, recipe, task=task, seed=0, device=set_up("cpu", 1),
            cache=cache, on_epoch=lambda record: None,
        ).result
        for cache in caches
    ]  # fmt: skip
    kept = [values for values in caches[0].values.values() if isinstance(values, Maps)]
    assert {values.strides for values in kept} == {(16,)}
    assert not caches[1].values
    assert repr(results[0].history) == repr(results[1].history)
    states = [result.chosen_state for result in results]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    losses = [record.train_loss for record in results[0].history]
    assert losses[-1] < losses[0]
