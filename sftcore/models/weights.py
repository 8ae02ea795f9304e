"""Pretrained weights: where they come from, and the preprocessing they were trained with."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sftcore.foundations.artifacts import read_json, sha256_file
from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import Backbone
from sftcore.models.packaged import State, WeightsRecord, read_package
from sftcore.models.text.files import find_files, is_text


def load_weights(backbone: Backbone, weights: str) -> tuple[WeightsRecord, State]:
    """Put pretrained parameters into a backbone.

    Args:
        backbone: changed in place; its classifier is already off.
        weights: ``package`` (carried by a pip package), ``pretrained`` or ``pretrained:<tag>``
            (the library's own download), ``none`` (keep the random parameters), or a file
            (.safetensors, .pt, .pth), whose mean, std and input size may stand in a JSON file of
            the same stem beside it.

    Returns:
        What is known of the weights, and their classifier's tensors, which the backbone does not
        take; none where they have no classifier.

    Raises:
        WeightsError: not to be had, or a tensor is missing, left over or of another shape; the
            message lists both sides.
    """
    source, _, tag = weights.partition(":")
    if weights == "none":
        return _library_record(backbone, "none: random initialisation", None), {}
    if weights == "package":
        state, record = read_package(backbone.name)
    elif source == "pretrained":
        state, record = _download(backbone, tag or None)
    else:
        state, record = _read_file(backbone, Path(weights))
    load_exactly(backbone, state, record.origin)
    return record, {name: t for name, t in state.items() if _is_classifier(backbone, name)}


def weights_digest(backbone: str, weights: str) -> Any:
    """What names the content of weights that may change under their name.

    Args:
        backbone: as settings have it.
        weights: likewise.

    Returns:
        The sha256 of each file that is read; or the name, where a package or a library answers for
        what is behind it.

    Raises:
        WeightsError: files of a text encoder are not to be had.
    """
    if is_text(backbone):
        return find_files(backbone, weights).hashes(with_tensors=weights != "none")
    file = Path(weights)
    beside = file.with_suffix(".json")  # its mean and standard deviation
    read = [each for each in (file, beside) if file.is_file() and each.is_file()]
    return [sha256_file(each) for each in read] or weights


def load_exactly(backbone: Backbone, state: Mapping[str, Tensor], origin: str) -> None:
    """Load every tensor, by name and shape; only the classifier's may be left over.

    Raises:
        WeightsError: lists what the backbone wants and what the weights hold where they differ.
    """
    wanted = backbone.module.state_dict()
    offered = {name: tensor for name, tensor in state.items() if not _is_classifier(backbone, name)}
    missing = [f"{name} {list(wanted[name].shape)}" for name in wanted if name not in offered]
    extra = [f"{name} {list(offered[name].shape)}" for name in offered if name not in wanted]
    shapes = [
        f"{name}: backbone {list(wanted[name].shape)}, weights {list(offered[name].shape)}"
        for name in wanted
        if name in offered and wanted[name].shape != offered[name].shape
    ]
    if missing or extra or shapes:
        raise WeightsError(
            f"the weights ({origin}) do not fit {backbone.name}:"
            + _listing("only in the backbone", missing)
            + _listing("only in the weights", extra)
            + _listing("of another shape", shapes)
        )
    infinite = [
        name
        for name, tensor in offered.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if infinite:
        raise WeightsError(
            f"the weights ({origin}) hold numbers that are not finite, as a training that diverged "
            "leaves them:" + _listing("in", infinite)
        )
    backbone.module.load_state_dict(with_versions(backbone.module, offered))


def with_versions(module: nn.Module, state: Mapping[str, Tensor]) -> State:
    """A table of tensors as one that this module has written; torchvision's MNASNet asks for it."""
    written = module.state_dict()  # carries the versions of the module's parts
    written.clear()
    written.update(state)
    return written


def _is_classifier(backbone: Backbone, name: str) -> bool:
    """Whether a tensor of the weights belongs to what was taken off; it may be several members."""
    is_inside = name.startswith(tuple(f"{member}." for member in backbone.classifier))
    return is_inside and name not in backbone.module.state_dict()


def _listing(title: str, names: list[str], limit: int = 8) -> str:
    if not names:
        return ""
    more = [f"... and {len(names) - limit} more"] if len(names) > limit else []
    return f"\n  {title} ({len(names)}):\n    " + "\n    ".join(names[:limit] + more)


def _read_file(backbone: Backbone, path: Path) -> tuple[State, WeightsRecord]:
    if not path.is_file():
        raise WeightsError(
            f"model.weights is {str(path)!r}: neither package, pretrained, pretrained:<tag> or "
            "none, nor a file that exists"
        )
    state = read_state(path)
    given = read_json(path.with_suffix(".json")) if path.with_suffix(".json").is_file() else {}
    record = _library_record(backbone, f"file {path.name}", None)
    unknown = sorted(set(given) - set(asdict(record)))
    if unknown:
        raise WeightsError(
            f"{path.with_suffix('.json')}: unknown keys {', '.join(unknown)}; allowed: "
            + ", ".join(asdict(record))
        )
    given |= {key: tuple(given[key]) for key in ("mean", "std") if key in given}
    return state, WeightsRecord(**(asdict(record) | given | {"sha256": sha256_file(path)}))


def read_state(path: Path) -> State:
    """Read tensors from a file without running code from it.

    Raises:
        WeightsError: not a safetensors or torch file of plain tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as tensors ({type(error).__name__}): save it as .safetensors, "
            "or with torch.save(model.state_dict())"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsError(f"{path} holds no table of tensors: save model.state_dict()")
    return state


def _download(backbone: Backbone, tag: str | None) -> tuple[State, WeightsRecord]:
    """Tensors by the library's own download code and cache."""
    library, _, model = backbone.name.partition("/")
    load = _torchvision_state if library == "torchvision" else _timm_state
    try:
        state = load(model, tag, backbone)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{library} could not get the weights of {backbone.name}"
            f"{f' ({tag})' if tag else ''}: {error}. Without a network, set model.weights to a file"
            " or to 'package'"
        ) from error
    return state, _library_record(backbone, f"{library} download {tag or 'default'}", tag)


def _torchvision_state(model: str, tag: str | None, backbone: Backbone) -> State:
    weights = _torchvision_weights(model, tag)
    state = dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
    if model.startswith("vit_"):
        from torchvision.models.vision_transformer import interpolate_embeddings

        sizes: Any = backbone.module
        state = dict(interpolate_embeddings(sizes.image_size, sizes.patch_size, state))
    return state


def _timm_state(model: str, tag: str | None, backbone: Backbone) -> State:
    import timm

    full_name = f"{model}.{tag}" if tag else model
    return timm.create_model(full_name, pretrained=True, **backbone.sizes).state_dict()


def _torchvision_weights(model: str, tag: str | None) -> Any:
    from torchvision.models import get_model_weights

    choices = get_model_weights(model)
    if tag is None:
        return choices.DEFAULT
    if tag not in choices.__members__:
        raise WeightsError(
            f"torchvision/{model} has no weights {tag!r}: {list(choices.__members__)}"
        )
    return choices[tag]


def _library_record(backbone: Backbone, origin: str, tag: str | None) -> WeightsRecord:
    """Preprocessing as the library records it for this backbone."""
    library, _, model = backbone.name.partition("/")
    if library == "timm":
        import timm

        config: Any = timm.get_pretrained_cfg(f"{model}.{tag}" if tag else model)
        if config is None:
            raise WeightsError(f"timm/{model} has no pretrained weights {tag or 'at all'!r}")
        size, mean, std = config.input_size[-1], config.mean, config.std
        return WeightsRecord(origin, "", tuple(mean), tuple(std), size, config.license or "")
    preset = _torchvision_weights(model, tag).transforms()
    return WeightsRecord(
        origin, "", tuple(preset.mean), tuple(preset.std), preset.crop_size[0], "BSD-3-Clause"
    )
