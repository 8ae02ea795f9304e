"""A picture's answer does not depend on the pictures beside it, nor on their number."""

import numpy as np
import pytest
import torch

from sftcore.evaluation import sight
from sftcore.evaluation.predict import look_at
from sftcore.evaluation.sight import PREDICT_BATCH_SIZE, PictureSight
from sftcore.models.start import build_start


@pytest.mark.parametrize("backbone", ["timm/test_efficientnet", "torchvision/resnet18"])
def test_bits_are_those_of_the_picture_alone(
    backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = build_start(
        backbone=backbone, weights="none", num_classes=5, image_size=64, dropout=0.1, seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip
    network, look = start.network.eval(), PictureSight((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    count = 2 * PREDICT_BATCH_SIZE + 5
    images = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    everything = look_at(network, images, look)
    order = np.random.default_rng(1).permutation(count)
    mixed = look_at(network, images[order], look)
    np.testing.assert_array_equal(mixed.answers, everything.answers[order])
    np.testing.assert_array_equal(mixed.features, everything.features[order])
    for few in (1, 2, 31, 33):
        found = look_at(network, images[:few], look).answers
        np.testing.assert_array_equal(found, everything.answers[:few])
    # The test would catch it: another shape of the batch does give other digits.
    monkeypatch.setattr(sight, "PREDICT_BATCH_SIZE", 1)
    other = look_at(network, images, look).answers
    assert (other != everything.answers).any()
