"""How other libraries train masks and boxes; see :mod:`benchmarks.dense_peers`."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from benchmarks.scenes import CPU, Outcome, mask_records, measured, score
from sftcore.data.loader import epoch_order, normalize, split_batches, to_unit_range
from sftcore.data.store import Store
from sftcore.evaluation.frozen import frozen_network
from sftcore.evaluation.sight import PREDICT_BATCH_SIZE
from sftcore.foundations.masks import IGNORED
from sftcore.foundations.randomness import seed_global
from sftcore.models.packaged import WeightsRecord, read_package
from sftcore.settings.tree import Params
from sftcore.tasks.detection.boxes import CLASS_OF_ANSWER, NO_BOX, learnt_boxes
from sftcore.tasks.names import BOXES, MASKS

_BACKBONE = "tf_efficientnet_lite0"
_MOST = 100  # detections of a picture, as COCO counts them
_FINEST = 8  # stride of the finest level of FCOS
_WEIGHT_DECAY = 1e-4  # of the example's recipe and of torchvision's
_WARM_UP_FROM, _MOST_WARM_UP = 1e-3, 1000  # part of the rate, updates
_DROPS = (16 / 26, 22 / 26)  # of the epochs


@dataclass(frozen=True)
class Way:
    """How a peer is trained.

    Attributes:
        name: in words.
        optimizer: ``adamw`` or ``sgd``.
        rate: its peak.
        has_dice: whether the loss of pixels is Dice; else it is cross-entropy.
    """

    name: str
    optimizer: str
    rate: float
    has_dice: bool = False


@dataclass(frozen=True)
class Peer:
    """A library's network for a task.

    Attributes:
        name: of the library's network.
        ways: among which validation chooses.
        build: gives the network of a number of classes and a width of its head; 0 is its own.
        loss: of the network, a way, and rows of the store.
        records: of the network and rows, as :func:`benchmarks.scenes.score` wants them.
        factor: of the rate, of update, updates in an epoch, epochs and way.
    """

    name: str
    ways: tuple[Way, ...]
    build: Callable[[int, int, int], nn.Module]
    loss: Callable[[nn.Module, Way, Store, np.ndarray], Tensor]
    records: Callable[[nn.Module, Store, np.ndarray], np.ndarray]
    factor: Callable[[int, int, int, Way], float]


def by_peer(store: Store, params: Params, way: Way, width: int, epochs: int, seed: int) -> Outcome:
    """Train in the order that this engine has, and measure the last epoch."""
    peer = PEERS[params.task]
    began = time.perf_counter()
    seed_global(seed, "peer")
    network = peer.build(len(store.names), width, store.image_size)
    network.to(memory_format=torch.channels_last)
    rows, val = store.split("train"), store.split("val")
    num_batches = len(split_batches(rows, params.train.batch_size))
    optimizer = _optimizer(network, way)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: peer.factor(update, num_batches, epochs, way)
    )
    for epoch in range(epochs):
        network.train()
        for batch in split_batches(epoch_order(rows, seed, epoch), params.train.batch_size):
            loss = peer.loss(network, way, store, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
        score(store, peer.records(network.eval(), store, val), val)
    seconds = time.perf_counter() - began
    return measured(store, lambda of: peer.records(network, store, of), seconds)


def _optimizer(network: nn.Module, way: Way) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if way.optimizer == "sgd":
        return torch.optim.SGD(trained, way.rate, momentum=0.9, weight_decay=_WEIGHT_DECAY)
    return torch.optim.AdamW(trained, way.rate, weight_decay=_WEIGHT_DECAY)


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def _load_package(encoder: Any) -> WeightsRecord:
    """Put the package's weights into a timm network that gives maps."""
    state, record = read_package(f"timm/{_BACKBONE}")
    left = encoder.load_state_dict(state, strict=False)
    beyond = {name.partition(".")[0] for name in left.unexpected_keys}
    assert not left.missing_keys, left.missing_keys
    assert beyond <= {"conv_head", "bn2", "classifier"}, beyond
    return record


# segmentation_models_pytorch


def _build_fpn(num_classes: int, width: int, side: int) -> nn.Module:
    sizes = {"decoder_pyramid_channels": width, "decoder_segmentation_channels": width}
    network = smp.FPN(
        f"tu-{_BACKBONE}", encoder_weights=None, classes=num_classes, **(sizes if width else {})
    )
    network.record = _load_package(network.encoder.model)
    return network


def _pixel_loss(network: Any, way: Way, store: Store, rows: np.ndarray) -> Tensor:
    logits = network(_normed(network.record, store, rows))
    masks = torch.from_numpy(np.array(store.targets[rows])).long()
    if way.has_dice:
        return smp.losses.DiceLoss("multiclass", ignore_index=IGNORED)(logits, masks)
    return nn.functional.cross_entropy(logits, masks, ignore_index=IGNORED)


@torch.no_grad()
def _mask_records(network: Any, store: Store, rows: np.ndarray) -> np.ndarray:
    parts = split_batches(rows, PREDICT_BATCH_SIZE)
    found = [(network(_normed(network.record, store, part)), part) for part in parts]
    return np.concatenate([mask_records(store, logits, part) for logits, part in found])


def _normed(record: WeightsRecord, store: Store, rows: np.ndarray) -> Tensor:
    return normalize(to_unit_range(store.images[rows], CPU), record.mean, record.std)


def _cosine_by_update(update: int, num_batches: int, epochs: int, way: Way) -> float:
    return _cosine(update / (num_batches * epochs))


# torchvision


class _Pyramid(nn.Module):
    """What torchvision's ``BackboneWithFPN`` is for a ResNet, of a timm network's maps.

    Its builder's freezing: batch norms whole, and what lies before the last three strides.
    """

    def __init__(self, width: int, has_coarse: bool) -> None:
        super().__init__()
        body: Any = timm.create_model(_BACKBONE, features_only=True, out_indices=(2, 3, 4))
        self.record = _load_package(body)
        self.body = freeze_batch_norm_2d(body)
        strides = dict(
            zip(body.feature_info.module_name(), body.feature_info.reduction(), strict=True)
        )
        first = int(min(strides, key=strides.__getitem__).split(".")[1])
        for name, parameter in self.body.named_parameters():
            is_later = name.startswith("blocks.") and int(name.split(".")[1]) >= first
            parameter.requires_grad_(is_later)
        extra = LastLevelP6P7(width, width) if has_coarse else None
        self.fpn = FeaturePyramidNetwork(body.feature_info.channels(), width, extra)
        self.out_channels = width

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Levels, the finest first."""
        maps = self.body(pictures)
        return self.fpn(OrderedDict((str(place), each) for place, each in enumerate(maps)))


def _build_fcos(num_classes: int, width: int, side: int) -> nn.Module:
    pyramid = _Pyramid(width or 256, has_coarse=not width)
    num_levels, num_convs = (3, 2) if width else (5, 4)
    strides = tuple((_FINEST << level,) for level in range(num_levels))
    return FCOS(
        pyramid, num_classes, min_size=side, max_size=side, fixed_size=(side, side),
        image_mean=list(pyramid.record.mean), image_std=list(pyramid.record.std),
        anchor_generator=AnchorGenerator(strides, ((1.0,),) * num_levels),
        head=FCOSHead(pyramid.out_channels, 1, num_classes, num_convs),
        score_thresh=0.05, detections_per_img=_MOST,
    )  # fmt: skip


def _box_loss(network: nn.Module, way: Way, store: Store, rows: np.ndarray) -> Tensor:
    targets = []
    for boxes in learnt_boxes(torch.from_numpy(store.targets[rows])):
        own = boxes[boxes[:, 4] >= 0]
        targets.append({"boxes": own[:, :4], "labels": own[:, 4].long()})
    losses = network(list(to_unit_range(store.images[rows], CPU)), targets)
    return torch.stack(list(losses.values())).sum()


@torch.no_grad()
def _box_records(network: nn.Module, store: Store, rows: np.ndarray) -> np.ndarray:
    found = np.zeros((len(rows), _MOST, 6))
    found[..., CLASS_OF_ANSWER] = NO_BOX
    for part in split_batches(np.arange(len(rows)), PREDICT_BATCH_SIZE):
        seen = network(list(to_unit_range(store.images[rows[part]], CPU)))
        for place, own in zip(part, seen, strict=True):
            ends = torch.stack([own["scores"], own["labels"].float()], dim=1)
            found[place, : len(ends)] = torch.cat([own["boxes"], ends], dim=1).numpy()
    return found


def _reference_schedule(update: int, num_batches: int, epochs: int, way: Way) -> float:
    epoch = update // num_batches
    factor = _cosine(epoch / epochs)
    if way.optimizer == "sgd":
        factor = 0.1 ** sum(epoch >= round(drop * epochs) for drop in _DROPS)
    warm_up = min(_MOST_WARM_UP, num_batches - 1)
    if epoch == 0 and update < warm_up:
        factor *= _WARM_UP_FROM + (1 - _WARM_UP_FROM) * update / warm_up
    return factor


PEERS: Mapping[str, Peer] = {
    MASKS: Peer(
        "segmentation_models_pytorch's FPN",
        tuple(
            Way(
                f"AdamW at {rate:g}, {'Dice' if has_dice else 'cross-entropy'}",
                "adamw",
                rate,
                has_dice,
            )
            for has_dice in (True, False)
            for rate in (2e-4, 1e-3)
        ),
        _build_fpn,
        _pixel_loss,
        _mask_records,
        _cosine_by_update,
    ),
    BOXES: Peer(
        "torchvision's FCOS",
        (
            Way("SGD at 0.01", "sgd", 0.01),
            Way("SGD at 0.03", "sgd", 0.03),
            Way("AdamW at 0.0003", "adamw", 3e-4),
            Way("AdamW at 0.001", "adamw", 1e-3),
        ),
        _build_fcos,
        _box_loss,
        _box_records,
        _reference_schedule,
    ),
}


@torch.no_grad()
def maps_differ(store: Store, params: Params) -> float:
    """Greatest difference of the peer's maps from this engine's, over the greatest value."""
    frozen = frozen_network(
        params.model, num_outputs=len(store.names), image_size=store.image_size, seed=0, device=CPU,
        target=store.target,
    )  # fmt: skip
    pictures = _normed(frozen.record, store, store.split("test")[:2])
    network: Any = PEERS[params.task].build(len(store.names), 64, store.image_size).eval()
    maps = network.encoder(pictures) if params.task == MASKS else network.backbone.body(pictures)
    pairs = zip(frozen.network.features(pictures).tensors, maps[-3:], strict=True)
    return max(float((own - other).abs().max() / own.abs().max()) for own, other in pairs)
