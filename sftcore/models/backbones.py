"""Backbones by name, from torchvision and timm, without their classifier."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from sftcore.errors import WeightsError


@dataclass(frozen=True)
class Backbone:
    """A network that maps pictures to features.

    Attributes:
        name: ``torchvision/<model>`` or ``timm/<model>``.
        module: pictures [B, 3, S, S] to features [B, num_features].
        num_features: width of the features.
        classifier: name of the member that was taken off; its tensors are not part of the weights.
    """

    name: str
    module: nn.Module
    num_features: int
    classifier: str


def build_backbone(name: str, image_size: int, stochastic_depth: float = 0.0) -> Backbone:
    """Build a backbone with random parameters from torch's global stream.

    With stochastic depth p the residual branch of block l of L is dropped with probability
    ``p·l/L``, for each picture by itself, and what remains is scaled up in training (Huang et al.,
    2016, Deep networks with stochastic depth, eq. 4). Where timm counts blocks from 0, so do we.

    Args:
        name: ``torchvision/<model>`` or ``timm/<model>``.
        image_size: side of the pictures in pixels; transformers size their position table by it.
        stochastic_depth: p in [0, 1).

    Raises:
        WeightsError: the library has no such model, the picture size does not fit it, or it has no
            residual branch that can be dropped.
    """
    library, _, model = name.partition("/")
    builders = {"torchvision": _build_torchvision, "timm": _build_timm}
    if library not in builders:
        raise WeightsError(f"backbone {name!r}: the library is one of {', '.join(builders)}")
    built = builders[library](name, model, image_size, stochastic_depth)
    _set_stochastic_depth(built, stochastic_depth)
    return built


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
    dropped = [branch for branch in branches if isinstance(branch, StochasticDepth)]
    for number, branch in enumerate(dropped, start=1):  # timm has done so, block by block
        branch.p = probability * number / len(dropped)


def _build_timm(name: str, model: str, image_size: int, stochastic_depth: float) -> Backbone:
    import timm

    architecture = model.partition(".")[0]
    if not timm.is_model(architecture):
        raise WeightsError(_unknown(name, architecture, "timm", timm.list_models()))
    module = _create_timm(model, image_size, stochastic_depth)
    classifier = module.pretrained_cfg["classifier"]
    module.reset_classifier(num_classes=0)
    num_features = getattr(module, "head_hidden_size", module.num_features)
    return Backbone(name, module, num_features, classifier)


def _create_timm(model: str, image_size: int, stochastic_depth: float) -> Any:
    """A timm network; ``img_size`` goes only to those whose weights depend on it."""
    import timm

    fixed = timm.get_pretrained_cfg(model.partition(".")[0])
    options: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}
    if fixed is not None and fixed.fixed_input_size:
        options["img_size"] = image_size
    try:
        return timm.create_model(model, **options)
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


# Member that ends in the last linear layer, by class: the part that is taken off.
_TORCHVISION_CLASSIFIERS = {
    "AlexNet": "classifier.6",
    "ConvNeXt": "classifier.2",
    "DenseNet": "classifier",
    "EfficientNet": "classifier.1",
    "MNASNet": "classifier.1",
    "MobileNetV2": "classifier.1",
    "MobileNetV3": "classifier.3",
    "RegNet": "fc",
    "ResNet": "fc",
    "ShuffleNetV2": "fc",
    "SwinTransformer": "head",
    "VGG": "classifier.6",
    "VisionTransformer": "heads.head",
}


def _build_torchvision(name: str, model: str, image_size: int, _: float) -> Backbone:
    from torchvision import models

    known = models.list_models(module=models)
    if model not in known:
        raise WeightsError(_unknown(name, model, "torchvision", known))
    is_transformer = model.startswith("vit_")
    try:
        module = models.get_model(model, **({"image_size": image_size} if is_transformer else {}))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{name} cannot take pictures of {image_size} pixels: {error}"
        ) from error
    classifier = _TORCHVISION_CLASSIFIERS.get(type(module).__name__)
    if classifier is None:
        raise WeightsError(
            f"backbone {name!r}: the classifier of {type(module).__name__} is not known. Known: "
            + ", ".join(sorted(_TORCHVISION_CLASSIFIERS))
        )
    linear = module.get_submodule(classifier)
    module.set_submodule(classifier, nn.Identity())
    _drop_outer_dropout(module, classifier)
    return Backbone(name, module, int(linear.in_features), classifier)


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
