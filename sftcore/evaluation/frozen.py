"""The pretrained network before any fine-tuning, ready to look at examples."""

from dataclasses import dataclass

import numpy as np
import torch

from sftcore.evaluation.sight import PictureSight, Sight
from sftcore.evaluation.text_sights import sight_of_texts
from sftcore.models.dense.maps import Maps
from sftcore.models.network import Network
from sftcore.models.packaged import WeightsRecord
from sftcore.models.settings import ModelSettings
from sftcore.models.start import build_start
from sftcore.models.text.files import find_files, is_text
from sftcore.models.values import join, take


@dataclass(frozen=True)
class Frozen:
    """A pretrained network.

    Attributes:
        network: in evaluation mode; its head is random, but for a decoder's.
        record: of its weights.
        sight: how it is shown examples.
    """

    network: Network
    record: WeightsRecord
    sight: Sight


def frozen_network(
    model: ModelSettings,
    *,
    num_outputs: int,
    image_size: int,
    seed: int,
    device: torch.device,
    goes_on: bool = False,
    target: str = "",
) -> Frozen:
    """Build the network that fine-tuning begins with.

    Args:
        model: backbone, weights, and how an encoder of texts is used.
        num_outputs: of the head.
        image_size: side of the pictures in pixels; 0 of texts.
        seed: of a backbone without weights.
        device: where it is put.
        goes_on: whether it is a decoder that says which token comes next.
        target: of the store; masks and boxes need maps.

    Raises:
        WeightsError: unknown backbone, or weights that do not fit.
    """
    start = build_start(
        backbone=model.backbone,
        weights=model.weights,
        num_classes=num_outputs,
        image_size=image_size,
        dropout=0.0,
        seed=seed,
        device=device,
        text=model.text,
        goes_on=goes_on,
        dense=model.dense_head(target),
    )
    sight: Sight = PictureSight(start.record.mean, start.record.std, device)
    if is_text(model.backbone):
        files = find_files(model.backbone, model.weights)
        sight = sight_of_texts(files, model.text, device, goes_on=goes_on)
    return Frozen(start.network.eval(), start.record, sight)


@torch.no_grad()
def maps_of(network: Network, examples: np.ndarray, sight: Sight) -> Maps:
    """What a head on maps is given of pictures.

    Args:
        network: in evaluation mode.
        examples: N of them, at least one, as the store has them.
        sight: how the network is shown them.
    """
    parts = []
    for places, batch in sight.batches(examples):
        parts.append(take(network.features(batch), slice(0, len(places))))
    return join(parts)
