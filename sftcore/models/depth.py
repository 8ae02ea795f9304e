"""How deep in a backbone each tensor lies: blocks for freezing, thawing and layer-wise rates.

timm says it for its own networks (``group_matcher``, coarse: by stages, or else by layers), and a
table below for those of torchvision; of a text encoder each layer is one. Blocks are about
parameters alone: whether the network can also be *entered* between two of them is another matter
(:mod:`sftcore.models.segments`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sftcore.models.segments import Segment
from sftcore.models.text.encoder import TextEncoder

_FEWEST = 4  # stages say less than this: their layers are counted instead
_Matcher = Mapping[str, Any] | Callable[[str], Any]


@dataclass(frozen=True)
class Depth:
    """The blocks of a backbone, first to last; every tensor lies in exactly one.

    Attributes:
        names: of the blocks, for tables and messages.
        positions: of the block by name of a parameter or buffer.
        last: of the last block that owns something of it, by name of a module, parameter or buffer.
    """

    names: tuple[str, ...]
    positions: Mapping[str, int]
    last: Mapping[str, int]


def find_depth(backbone: nn.Module, segments: Sequence[Segment]) -> Depth:
    """The blocks of a backbone whose classifier has been taken off.

    Args:
        backbone: of timm or torchvision, or a text encoder.
        segments: of the same backbone; they name the blocks that are the same as one of them.
    """
    parameters = dict(backbone.named_parameters(remove_duplicate=False))
    buffers = dict(backbone.named_buffers(remove_duplicate=False))
    groups = _group([*parameters, *buffers], backbone, segments)
    positions: dict[str, int] = {}
    number = 0
    for group in groups:  # one without parameters joins the next
        positions |= dict.fromkeys(group, number)
        number += any(name in parameters for name in group)
    positions = {name: min(place, number - 1) for name, place in positions.items()}
    owned: list[list[str]] = [[] for _ in range(number)]
    for name in parameters:
        owned[positions[name]].append(name)
    return Depth(_names(owned, segments), positions, _last(positions))


def _last(positions: Mapping[str, int]) -> dict[str, int]:
    last: dict[str, int] = {}
    for name, place in positions.items():
        parts = name.split(".")
        for count in range(len(parts) + 1):
            outer = ".".join(parts[:count])
            last[outer] = max(place, last.get(outer, 0))
    return last


def _group(names: Iterable[str], backbone: Any, segments: Sequence[Segment]) -> list[list[str]]:
    """The names by block, first to last."""
    from timm.models._manipulate import group_with_matcher

    named = [(name, name) for name in names]
    least: list[list[str]] = []
    for matcher in _matchers(backbone, segments):
        found = group_with_matcher(iter(named), matcher)  # type: ignore[arg-type]
        least = [found[position] for position in sorted(found)]
        if len(least) >= _FEWEST:
            break
    return least


def _matchers(backbone: Any, segments: Sequence[Segment]) -> Iterable[_Matcher]:
    """What says the position of a name, in order of preference."""
    kind = type(backbone)
    if kind.__module__.startswith("torchvision."):
        yield _TORCHVISION.get(kind.__name__) or _by_segment(segments)
    elif isinstance(backbone, TextEncoder):
        yield _by_segment(segments) if len(segments) > 1 else _by_layer(backbone)
    elif hasattr(backbone, "group_matcher"):
        for is_coarse in (True, False):
            try:
                matcher = backbone.group_matcher(coarse=is_coarse)
            except AssertionError:
                continue  # RDNet knows its layers only
            yield _ends_apart(matcher)
    else:
        yield _by_order(backbone)


def _by_segment(segments: Sequence[Segment]) -> _Matcher:
    return lambda name: next(i for i, segment in enumerate(segments) if segment.owns(name))


def _by_layer(encoder: TextEncoder) -> _Matcher:
    """By the longest list of modules; what all layers share counts as their beginning."""
    lists = [(n, len(m)) for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList)]
    layers = max(lists, key=lambda found: found[1], default=("", 0))[0]
    pattern = re.compile(rf"^{re.escape(layers)}\.(\d+)\." if layers else "(?!)")

    def position(name: str) -> int:
        found = pattern.match(name)
        return int(found[1]) + 1 if found else 0

    return position


def _ends_apart(matcher: _Matcher) -> _Matcher:
    """timm's rule, but what it adds to the last block is a block: the last norm or convolution.

    Registers and the norm of a transformer's embedding, which it forgets, belong to the beginning.
    """
    from timm.models._manipulate import MATCH_PREV_GROUP

    if not isinstance(matcher, Mapping):
        return matcher

    def apart(rule: Any) -> Any:
        if not isinstance(rule, list | tuple):
            return rule
        behind = (MATCH_PREV_GROUP[0] - 1,)
        return [(pattern, behind if end == MATCH_PREV_GROUP else end) for pattern, end in rule]

    rules = {key: apart(rule) for key, rule in matcher.items()}
    if "pos_embed" in str(rules.get("stem")):
        rules["stem"] += r"|reg_token|norm_pre\."
    return rules


def _by_order(backbone: nn.Module) -> _Matcher:
    """By the members in their order; the numbered parts of a member are blocks of their own."""
    order = {name: place for place, (name, _) in enumerate(backbone.named_children(), start=1)}

    def position(name: str) -> tuple[int, ...]:
        member, _, inner = name.partition(".")
        part = inner.partition(".")[0]
        return order.get(member, 1), int(part) if part.isdigit() else 0  # tokens are no member

    return position


_STAGE_OF_SWIN = re.compile(r"^features\.(\d+)")


def _torchvision_swin(name: str) -> int:
    """Members alternate: embedding, blocks, merging, blocks, ...; a merging begins a stage."""
    found = _STAGE_OF_SWIN.match(name)
    number = int(found[1]) if found else 1 << 10
    return number // 2 + 1 if number else 0


# Patterns as timm writes them; a family that is not listed is counted by its segments.
_TORCHVISION: dict[str, _Matcher] = {
    "AlexNet": {"features": r"^features\.(\d+)", "classifier": r"^classifier\.(\d+)"},
    "DenseNet": {
        "stem": r"^features\.(?:conv0|norm0)",
        "blocks": r"^features\.(?:denseblock|transition)(\d+)",
        "norm": r"^features\.norm5",
    },
    "GoogLeNet": {"stem": r"^conv(\d)", "blocks": r"^inception(\d)"},
    "Inception3": {"stem": r"^Conv2d_(\d)", "blocks": r"^Mixed_(\d)"},
    "MNASNet": {
        "stem": r"^layers\.[0-7]\.",
        "blocks": r"^layers\.(8|9|1[0-3])\.",
        "last": r"^layers\.1[4-6]\.",
    },
    "MaxVit": {"stem": r"^stem", "blocks": r"^blocks\.(\d+)", "last": r"^classifier"},
    "RegNet": {"stem": r"^stem", "blocks": r"^trunk_output\.block(\d+)"},
    "ShuffleNetV2": {"stem": r"^conv1", "stages": r"^stage(\d+)", "last": r"^conv5"},
    "SqueezeNet": {"features": r"^features\.(\d+)"},
    "SwinTransformer": _torchvision_swin,
}


def _names(owned: Sequence[Sequence[str]], segments: Sequence[Segment]) -> tuple[str, ...]:
    """A name for each block: its segment's, or what its tensors' names have in common."""
    every = [name for names in owned for name in names]
    by_segment = {frozenset(n for n in every if s.owns(n)): s.name for s in segments}
    found: list[str] = []
    for number, names in enumerate(owned):
        name = by_segment.get(frozenset(names)) or _common(names)
        is_taken = name in found or name in ("head", "source_head")  # those of the task
        found.append(f"{name}:{number}" if is_taken else name)
    return tuple(found)


def _common(names: Sequence[str]) -> str:
    """``stages.3`` of ``stages.3.a`` and ``stages.3.b``; the first member's name if none is."""
    parts = [name.split(".")[:-1] or [name] for name in names]
    shared: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared or parts[0][:1])
