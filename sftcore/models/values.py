"""What flows from block to block: tensors, texts as padded sequences, maps of several strides.

All are row first. A function here takes any and gives the same kind back, so that a cache, a batch
or a part of a batch need not know which of them it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast, final

import torch
from torch import Tensor

from sftcore.models.dense import maps as of_maps
from sftcore.models.dense.maps import Maps

BUCKET = 8  # lengths are padded to multiples of it: few shapes, and each a function of its rows


@final
@dataclass(frozen=True)
class Sequences:
    """Rows of different lengths, padded on the right; what lies behind a row's end is exactly zero.

    Attributes:
        data: token ids [B, L], int64, or states [B, L, D], float.
        lengths: of each row, at least 1 and at most L, int64 [B].
        wanted: where a head is asked, bool [B, L], nowhere behind a row's end; None is everywhere.
    """

    data: Tensor
    lengths: Tensor
    wanted: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.ndim not in (2, 3) or self.lengths.shape != self.data.shape[:1]:
            raise ValueError(
                f"sequences are [B, L] or [B, L, D] with lengths [B], not {list(self.data.shape)} "
                f"with {list(self.lengths.shape)}"
            )
        if self.wanted is not None and self.wanted.shape != self.data.shape[:2]:
            raise ValueError(
                f"what is wanted is [B, L] of {list(self.data.shape)}, not "
                f"{list(self.wanted.shape)}"
            )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def device(self) -> torch.device:
        """Where the data are."""
        return self.data.device

    @property
    def is_real(self) -> Tensor:
        """Where a position belongs to its row, bool [B, L]."""
        place = torch.arange(self.data.shape[1], device=self.data.device)
        return place < self.lengths[:, None]

    def with_data(self, data: Tensor) -> "Sequences":
        """Other data of the same lengths, put to zero behind each row's end.

        Args:
            data: [B, L] or [B, L, D].
        """
        is_padding = ~self.is_real
        mask = is_padding if data.ndim == 2 else is_padding[:, :, None]
        return Sequences(data.masked_fill(mask, 0), self.lengths, self.wanted)


Values = Tensor | Sequences | Maps
V = TypeVar("V", bound=Values)


def padded_length(length: int, bucket: int = BUCKET, most: int | None = None) -> int:
    """The least multiple of ``bucket`` that holds a row, but no more than ``most``."""
    padded = -(-length // bucket) * bucket
    return padded if most is None else max(length, min(padded, most))


def num_rows(values: Values) -> int:
    """How many rows there are."""
    return len(values)


def take(values: V, index: Tensor | slice) -> V:
    """Some rows, in the order of the index.

    Sequences are cut to the bucket of the longest row that is taken, so that the shape and the
    bytes are a function of the taken rows, whatever they lay among.

    Args:
        values: of any kind.
        index: int64 [N] on the values' device, or a slice.
    """
    if isinstance(values, Sequences):
        lengths = values.lengths[index]
        longest = int(lengths.max()) if len(lengths) else 0
        width = min(values.data.shape[1], padded_length(longest))
        wanted = None if values.wanted is None else values.wanted[index, :width]
        return cast(V, Sequences(values.data[index, :width], lengths, wanted))
    if isinstance(values, Maps):
        return cast(V, of_maps.take(values, index))
    return cast(V, values[index])


def join(parts: Sequence[V]) -> V:
    """Rows of all parts, one part after the other; sequences are padded to the longest part.

    Raises:
        ValueError: there is no part, or kinds are mixed, or a head is asked everywhere in one part
            and in places in another, or strides of maps differ.
    """
    rows: list[Any] = list(parts)
    kinds = {kind for part in rows for kind in (Sequences, Maps, Tensor) if isinstance(part, kind)}
    if len(kinds) != 1:
        raise ValueError("rows are joined of one kind, and at least one part")
    if kinds == {Tensor}:
        return cast(V, torch.cat(rows))
    if kinds == {Maps}:
        return cast(V, of_maps.join(rows))
    width = max(part.data.shape[1] for part in rows)
    data = torch.cat([_widened(part.data, width) for part in rows])
    lengths = torch.cat([part.lengths for part in rows])
    asked = [part.wanted for part in rows]
    if len({each is None for each in asked}) != 1:
        raise ValueError("rows are joined of which a head is asked everywhere, or of none of them")
    is_everywhere = asked[0] is None
    wanted = None if is_everywhere else torch.cat([_widened(each, width) for each in asked])
    return cast(V, Sequences(data, lengths, wanted))


def _widened(data: Tensor, width: int) -> Tensor:
    missing = width - data.shape[1]
    behind = (0, missing) if data.ndim == 2 else (0, 0, 0, missing)
    return torch.nn.functional.pad(data, behind) if missing else data


def num_bytes(values: Values) -> int:
    """Memory that the values take, in bytes."""
    return sum(tensor.nbytes for tensor in _tensors(values))


def to_bytes(values: Values) -> bytes:
    """The values' content, for hashes; of sequences the lengths come after the data."""
    return b"".join(each.detach().cpu().contiguous().numpy().tobytes() for each in _tensors(values))


def to_device(values: V, device: torch.device | str) -> V:
    """The values on a device."""
    if isinstance(values, Sequences):
        return cast(V, Sequences(*(each.to(device) for each in _tensors(values))))
    if isinstance(values, Maps):
        return cast(V, of_maps.to_device(values, device))
    return cast(V, values.to(device))


def contiguous_copy(values: V) -> V:
    """A copy that shares no memory and is laid out row by row, without a gradient's history."""
    if isinstance(values, Sequences):
        return cast(V, Sequences(*map(contiguous_copy, _tensors(values))))
    if isinstance(values, Maps):
        return cast(V, of_maps.contiguous_copy(values))
    return cast(V, values.detach().clone(memory_format=torch.contiguous_format))


def to_float(values: V) -> V:
    """The values in single precision, whatever they were computed in."""
    if isinstance(values, Sequences):
        return cast(V, replace(values, data=values.data.float()))
    if isinstance(values, Maps):
        return cast(V, of_maps.to_float(values))
    return cast(V, values.float())


def content_of(values: Values) -> Tensor:
    """All that belongs to rows, without padding: [B, ...], or of sequences [T, ...].

    Of maps it is the coarsest, which the last block gave; the others are those of blocks before.
    """
    if isinstance(values, Maps):
        return values.tensors[-1]
    return values.data[values.is_real] if isinstance(values, Sequences) else values


def asked_of(values: Values) -> Any:
    """What a head is given: features [B, D], of sequences the wanted states [T, D], or all maps."""
    if isinstance(values, Maps):
        return values
    if isinstance(values, Sequences) and values.wanted is not None:
        return values.data[values.wanted]
    return content_of(values)


def pooled(features: Tensor | Maps) -> Tensor:
    """One row for each example [B, D] of what a head is given: of maps the mean of the coarsest."""
    return features.tensors[-1].mean(dim=(2, 3)) if isinstance(features, Maps) else features


def _tensors(values: Values) -> list[Tensor]:
    if isinstance(values, Maps):
        return list(values.tensors)
    if not isinstance(values, Sequences):
        return [values]
    wanted = [] if values.wanted is None else [values.wanted]
    return [values.data, values.lengths, *wanted]
