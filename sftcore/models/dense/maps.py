"""Maps of features at several strides, row first: what dense heads take and what may be kept.

The functions serve :mod:`sftcore.models.values`, which has them for all values.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Maps:
    """A map for each stride, of the same pictures.

    Attributes:
        strides: pixels of the picture from one place of a map to the next, ascending.
        tensors: [B, C, H, W] for each; C, H and W are the map's own.
    """

    strides: tuple[int, ...]
    tensors: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not self.tensors or len(self.strides) != len(self.tensors):
            raise ValueError(
                f"maps have a tensor for each stride, not {len(self.tensors)} for "
                f"{list(self.strides)}"
            )
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"the strides of maps ascend, and {list(self.strides)} do not")
        shapes = [list(tensor.shape) for tensor in self.tensors]
        if len({shape[0] for shape in shapes if len(shape) == 4}) != 1 or any(
            len(shape) != 4 for shape in shapes
        ):
            raise ValueError(f"maps are [B, C, H, W] of the same pictures, not {shapes}")

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, stride: int) -> Tensor:
        return self.tensors[self.strides.index(stride)]

    def items(self) -> Iterator[tuple[int, Tensor]]:
        """Strides with their maps, the finest first."""
        return zip(self.strides, self.tensors, strict=True)

    @property
    def device(self) -> torch.device:
        """Where the maps are."""
        return self.tensors[0].device

    @property
    def sizes(self) -> dict[int, tuple[int, int]]:
        """Height and width of each map, by stride."""
        return {stride: (each.shape[2], each.shape[3]) for stride, each in self.items()}

    def each(self, change: Callable[[Tensor], Tensor]) -> "Maps":
        """Every map changed, of the same strides."""
        return Maps(self.strides, tuple(map(change, self.tensors)))


def take(maps: Maps, index: Tensor | slice) -> Maps:
    """Some rows, in the order of the index.

    Args:
        maps: of B pictures.
        index: int64 [N] on the maps' device, or a slice.
    """
    return maps.each(lambda tensor: tensor[index])


def join(parts: Sequence[Maps]) -> Maps:
    """Rows of all parts, one part after the other.

    Raises:
        ValueError: there is no part, or their strides differ.
    """
    if len({part.strides for part in parts}) != 1:
        raise ValueError("maps are joined of the same strides, and at least one part")
    columns = zip(*(part.tensors for part in parts), strict=True)
    return Maps(parts[0].strides, tuple(torch.cat(column) for column in columns))


def num_bytes(maps: Maps) -> int:
    """Memory that the maps take, in bytes."""
    return sum(tensor.nbytes for tensor in maps.tensors)


def to_bytes(maps: Maps) -> bytes:
    """The maps' content, for hashes, the finest first."""
    whole = (each.detach().cpu().contiguous() for each in maps.tensors)
    return b"".join(each.numpy().tobytes() for each in whole)


def to_device(maps: Maps, device: torch.device | str) -> Maps:
    """The maps on a device."""
    return maps.each(lambda tensor: tensor.to(device))


def contiguous_copy(maps: Maps) -> Maps:
    """A copy that shares no memory and is laid out row by row, without a gradient's history."""
    return maps.each(lambda tensor: tensor.detach().clone(memory_format=torch.contiguous_format))


def to_float(maps: Maps) -> Maps:
    """The maps in single precision, whatever they were computed in."""
    return maps.each(Tensor.float)
