"""Backbones by name, from torchvision and timm, without their classifier."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError
from sftcore.models.depthwise import speed_up_depthwise
from sftcore.models.pooling import pool_deterministically


@dataclass(frozen=True)
class Backbone:
    """A network that maps pictures to features.

    Attributes:
        name: ``torchvision/<model>`` or ``timm/<model>``.
        module: pictures [B, 3, S, S] to features [B, num_features].
        num_features: width of the features.
        classifier: names of the members that were taken off; their tensors are not part of the
            weights. Distilled networks have two.
        sizes: what the library had to be told of the picture size.
        image_size: side of the pictures in pixels; 0 for texts.
        head: that belongs to it and is gone on with; None where a task brings a new one.
    """

    name: str
    module: nn.Module
    num_features: int
    classifier: tuple[str, ...]
    sizes: Mapping[str, Any] = field(default_factory=dict)
    image_size: int = 0
    head: nn.Module | None = None


def build_backbone(name: str, image_size: int, stochastic_depth: float = 0.0) -> Backbone:
    """Build a backbone with random parameters from torch's global stream, and try it.

    With stochastic depth p the residual branch of block l of L is dropped with probability
    ``p·l/L``, for each picture by itself, and what remains is scaled up in training (Huang et al.,
    2016, Deep networks with stochastic depth, eq. 4). Where timm counts blocks from 0, so do we.

    Args:
        name: ``torchvision/<model>`` or ``timm/<model>``.
        image_size: side of the pictures in pixels; transformers size their position table by it.
        stochastic_depth: p in [0, 1).

    Raises:
        WeightsError: the library has no such model, the picture size does not fit it, it has no
            classifier or gives no features, or it has no residual branch that can be dropped.
    """
    library, _, model = name.partition("/")
    builders = {"torchvision": _build_torchvision, "timm": _build_timm}
    if library not in builders:
        known = ", ".join(builders)
        raise WeightsError(
            f"backbone {name!r}: the library is one of {known} for pictures, transformers for texts"
        )
    module, classifier, sizes = builders[library](name, model, image_size, stochastic_depth)
    pool_deterministically(module)
    speed_up_depthwise(module)
    num_features = _try(name, module, image_size)
    built = Backbone(name, module, num_features, classifier, sizes, image_size)
    _set_stochastic_depth(built, stochastic_depth)
    return built


_Built = tuple[nn.Module, tuple[str, ...], dict[str, Any]]
_REFUSALS = (AssertionError, ValueError, RuntimeError, IndexError, TypeError)


@torch.no_grad()
def _try(name: str, module: nn.Module, image_size: int) -> int:
    """Width of the features of a black picture."""
    try:
        features = module.eval()(torch.zeros(1, 3, image_size, image_size))
    except _REFUSALS as error:
        raise WeightsError(_unfit(name, image_size, error)) from error
    finally:
        module.train()
    if not isinstance(features, Tensor) or features.ndim != 2:
        shape = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise WeightsError(
            f"backbone {name!r} without its classifier gives {shape} for a picture, and not one "
            "row of features: choose another backbone"
        )
    return features.shape[1]


def _unfit(name: str, image_size: int, error: Exception) -> str:
    return f"{name} cannot take pictures of {image_size} pixels: {error}"


def _set_stochastic_depth(backbone: Backbone, probability: float) -> None:
    """Let the drop probability of the branches rise evenly from the first to the last."""
    from timm.layers import DropPath
    from torchvision.ops import StochasticDepth

    branches: list[Any] = [
        module
        for module in backbone.module.modules()
        if isinstance(module, DropPath | StochasticDepth)
    ]
    if probability > 0 and not branches:
        raise WeightsError(
            f"{backbone.name} has no residual branch that can be dropped: set "
            "model.stochastic_depth to 0, or choose another backbone"
        )
    if not probability:  # some families have a rate of their own, and torchvision's are set below
        for branch in branches:
            branch.drop_prob = 0.0
    dropped = [branch for branch in branches if isinstance(branch, StochasticDepth)]
    for number, branch in enumerate(dropped, start=1):  # timm has done so, block by block
        branch.p = probability * number / len(dropped)


def _build_timm(name: str, model: str, image_size: int, stochastic_depth: float) -> _Built:
    import timm

    architecture = model.partition(".")[0]
    if not timm.is_model(architecture):
        raise WeightsError(_unknown(name, architecture, "timm", timm.list_models()))
    module, sizes = _create_timm(model, image_size, stochastic_depth)
    if not hasattr(module, "reset_classifier"):
        raise WeightsError(
            f"backbone {name!r} has no classifier: it gives maps of features. Choose a network "
            "that classifies"
        )
    before = set(module.state_dict())
    module.reset_classifier(num_classes=0)
    taken = {tensor.rpartition(".")[0] for tensor in before - set(module.state_dict())}
    declared = module.pretrained_cfg["classifier"] or ()
    names = {declared} if isinstance(declared, str) else set(declared)
    return module, tuple(sorted(taken | names)), sizes


def _create_timm(
    model: str, image_size: int, stochastic_depth: float
) -> tuple[Any, dict[str, Any]]:
    """A timm network; ``img_size`` goes only to those whose weights depend on it."""
    import timm

    fixed = timm.get_pretrained_cfg(model.partition(".")[0])
    sizes: dict[str, Any] = (
        {"img_size": image_size} if fixed is not None and fixed.fixed_input_size else {}
    )
    options: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}
    try:
        try:
            return timm.create_model(model, **options, **sizes), sizes
        except TypeError as error:
            if not sizes or "img_size" not in str(error):
                raise
            return timm.create_model(model, **options), {}
    except TypeError as error:
        if not stochastic_depth:
            raise
        raise WeightsError(
            f"timm/{model} does not know stochastic depth: set model.stochastic_depth to 0"
        ) from error
    except (AssertionError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"timm cannot build {model!r} for {image_size} pixels: {error}"
        ) from error


# Members that are taken off, by class. The first ends in the last layer; others help in training.
_TORCHVISION_CLASSIFIERS = {
    "AlexNet": ("classifier.6",),
    "ConvNeXt": ("classifier.2",),
    "DenseNet": ("classifier",),
    "EfficientNet": ("classifier.1",),
    "GoogLeNet": ("fc", "aux1", "aux2"),
    "Inception3": ("fc", "AuxLogits"),
    "MNASNet": ("classifier.1",),
    "MaxVit": ("classifier.5",),
    "MobileNetV2": ("classifier.1",),
    "MobileNetV3": ("classifier.3",),
    "RegNet": ("fc",),
    "ResNet": ("fc",),
    "ShuffleNetV2": ("fc",),
    "SqueezeNet": ("classifier.1",),
    "SwinTransformer": ("head",),
    "VGG": ("classifier.6",),
    "VisionTransformer": ("heads.head",),
}


def _build_torchvision(name: str, model: str, image_size: int, _: float) -> _Built:
    from torchvision import models

    known = models.list_models(module=models)
    if model not in known:
        raise WeightsError(_unknown(name, model, "torchvision", known))
    try:
        module = models.get_model(model, **_torchvision_options(model, image_size))
    except _REFUSALS as error:
        raise WeightsError(_unfit(name, image_size, error)) from error
    classifier = _TORCHVISION_CLASSIFIERS.get(type(module).__name__)
    if classifier is None:
        raise WeightsError(
            f"backbone {name!r}: the classifier of {type(module).__name__} is not known. Known: "
            + ", ".join(sorted(_TORCHVISION_CLASSIFIERS))
        )
    module.set_submodule(classifier[0], nn.Identity())
    _drop_outer_dropout(module, classifier[0])
    return module, classifier, {}


def _torchvision_options(model: str, image_size: int) -> dict[str, Any]:
    if model.startswith("vit_"):
        return {"image_size": image_size}
    if model.startswith("maxvit_"):
        return {"input_size": (image_size, image_size)}
    if model in ("googlenet", "inception_v3"):
        # Their weights want the pictures normalised as in TensorFlow; helpers are taken off.
        return {"aux_logits": False, "transform_input": True, "init_weights": False}
    return {}


def _drop_outer_dropout(module: nn.Module, classifier: str) -> None:
    """Take off a dropout directly before the classifier: ``model.dropout`` decides on it."""
    parent, _, index = classifier.rpartition(".")
    if index.isdigit() and int(index) > 0:
        before = f"{parent}.{int(index) - 1}"
        if isinstance(module.get_submodule(before), nn.Dropout):
            module.set_submodule(before, nn.Identity())


def _unknown(name: str, model: str, library: str, known: list[str]) -> str:
    near = get_close_matches(model, known, n=3)
    hint = f"did you mean {', '.join(f'{library}/{other}' for other in near)}?" if near else ""
    return f"backbone {name!r}: {library} has no model {model!r}. {hint}".rstrip()
