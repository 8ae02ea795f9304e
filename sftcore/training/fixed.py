"""What a training never changes of a network, which a checkpoint need not hold.

Of a decoder whose last layers are trained that is nine tenths. It is known before a training goes
on: the network has just been built as it was built then.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sftcore.models.network import Network


def fixed_names(network: Network, first_block: int) -> frozenset[str]:
    """Names of the parameters and buffers of blocks before the first one that is ever trained.

    Args:
        network: of which blocks from ``first_block`` on are trained, in any phase.
        first_block: position of a block.
    """
    own = [f"backbone.{name}" for name in network.backbone.state_dict()]
    fixed = frozenset(name for name in own if network.block_of(name) < first_block)
    # A state of which nothing is left could not be told from one that is not there.
    return fixed if len(fixed) < len(network.state_dict()) else frozenset()


def without_fixed(value: Any, names: frozenset[str]) -> Any:
    """The same without what never changes, at any depth of a description of mappings."""
    if isinstance(value, Mapping):
        return {key: without_fixed(of, names) for key, of in value.items() if key not in names}
    return value


def with_fixed(value: Any, network: Network, names: frozenset[str]) -> Any:
    """The same with what never changes, in every state of a whole network.

    Args:
        value: of :func:`without_fixed`; states of parts stay as they are.
        network: that has not been trained.
        names: of what never changes.
    """
    if not names:
        return value
    whole = [list(network.state_dict()), list(network.model_state())]
    own = network.state_dict()
    kept = {name: own[name].clone() for name in own if name in names}
    return _filled(value, whole, kept)


def _filled(value: Any, whole: list[list[str]], kept: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, Mapping):
        return value
    for order in whole:
        if value.keys() == set(order) - kept.keys():
            return {name: kept[name] if name in kept else value[name] for name in order}
    return {key: _filled(of, whole, kept) for key, of in value.items()}
