"""Where fine-tuning begins: pretrained parameters, and a head that is made for the task or came."""

from dataclasses import dataclass

import torch
from torch import nn

from sftcore.foundations.errors import WeightsError
from sftcore.foundations.randomness import seed_global
from sftcore.models.backbones import Backbone, build_backbone
from sftcore.models.dense.heads import DenseSettings
from sftcore.models.network import Network
from sftcore.models.packaged import State, WeightsRecord
from sftcore.models.text.files import is_text
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.start import start_encoder
from sftcore.models.weights import load_weights


@dataclass(frozen=True)
class Start:
    """Where fine-tuning begins: the network with its first parameters, and their record."""

    network: Network
    record: WeightsRecord


def build_start(
    *,
    backbone: str,
    weights: str,
    num_classes: int,
    image_size: int = 0,
    dropout: float,
    seed: int,
    device: torch.device,
    stochastic_depth: float = 0.0,
    with_source_head: bool = False,
    text: TextOptions | None = None,
    goes_on: bool = False,
    dense: DenseSettings | None = None,
) -> Start:
    """Pretrained parameters in the backbone, and a random head for ``num_classes``, or its own.

    Args:
        backbone: ``torchvision/<model>`` or ``timm/<model>``, or ``transformers/<name or folder>``.
        weights: see :func:`sftcore.models.weights.load_weights`, and for texts
            :func:`sftcore.models.text.files.find_files`.
        num_classes: outputs of the head.
        image_size: side of the pictures in pixels; not looked at for texts.
        dropout: probability of zeroing a feature before the head.
        seed: decides the head, and the backbone where ``weights`` is ``none``.
        device: where the network is put.
        stochastic_depth: see :func:`sftcore.models.backbones.build_backbone`; pictures only.
        with_source_head: whether the classifier that the weights came with is kept beside;
            pictures only.
        text: how an encoder is used; texts only, and needed there.
        goes_on: whether the network says which token comes next, with the head of its weights.
        dense: the head on maps, for masks or boxes; None is one on features.

    Raises:
        WeightsError: unknown backbone, weights that do not fit or lack a classifier, no residual
            branch to drop, no maps where a head needs them, or what is asked for is not to be had
            for texts.
    """
    record: WeightsRecord
    classifier: State = {}
    seed_global(seed, "initialisation", "backbone")
    if goes_on and not is_text(backbone):
        raise WeightsError(
            f"{backbone} reads pictures: choose transformers/<name or folder> of a decoder"
        )
    if is_text(backbone):
        _refuse_for_text(backbone, stochastic_depth, with_source_head)
        if text is None:
            raise ValueError(f"{backbone} needs text options")
        built, record = start_encoder(backbone, weights, text, goes_on=goes_on)
    else:
        built = build_backbone(backbone, image_size, stochastic_depth)
        record, classifier = load_weights(built, weights)
    seed_global(seed, "initialisation", "head")
    network = Network(built, num_classes, dropout, dense)
    if with_source_head:
        network.source_head = _source_head(classifier, built, record.origin)
    if is_text(backbone):
        return Start(network.to(device), record)
    # Channels last: a training step of EfficientNet-Lite0 takes 2/3 of the time on CPU.
    return Start(network.to(device, memory_format=torch.channels_last), record)  # type: ignore[call-overload]


def _refuse_for_text(backbone: str, stochastic_depth: float, with_source_head: bool) -> None:
    if stochastic_depth > 0:
        raise WeightsError(
            f"{backbone}: transformers' encoders have no residual branch that can be dropped as a "
            "whole: set model.stochastic_depth to 0; dropout inside the encoder is "
            "model.text.hidden_dropout"
        )
    if with_source_head:
        raise WeightsError(
            f"{backbone}: Co-Tuning needs the classifier of the source's classes, and an encoder "
            "has learnt from texts without classes: set train.features.co_tuning to 0"
        )


def _source_head(classifier: State, backbone: Backbone, origin: str) -> nn.Linear:
    """The linear layer of these tensors.

    Raises:
        WeightsError: there are none, or they are of another shape.
    """
    tensors = {name.rpartition(".")[2]: tensor for name, tensor in classifier.items()}
    weight, bias = tensors.get("weight"), tensors.get("bias")
    is_one = len(classifier) == len(tensors) == 2  # of two classifiers none is that of the features
    if (
        not is_one
        or weight is None
        or bias is None
        or weight.shape != (len(bias), backbone.num_features)
    ):
        raise WeightsError(
            f"Co-Tuning needs the classifier of the source's classes, and these weights ({origin}) "
            "hold none: set train.features.co_tuning to 0, or choose other weights"
        )
    head = nn.Linear(backbone.num_features, len(bias))
    head.load_state_dict({"weight": weight, "bias": bias})
    return head
