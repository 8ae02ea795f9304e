"""Rows of a COCO file as plain values; what is no such row is refused."""

from collections.abc import Mapping
from typing import Any

from sftcore.data.annotations.documents import numbers_of, shortened, whole_of
from sftcore.data.annotations.outlines import (
    Outline,
    Polygons,
    checked_runs,
    decompress_counts,
    ring_of,
)
from sftcore.data.annotations.values import Mark
from sftcore.data.kinds import Refused


def rows_of(document: Any, part: str) -> list[Any]:
    """The list ``images``, ``annotations`` or ``categories`` of a document.

    Raises:
        Refused: it is no list.
    """
    rows = document.get(part) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise Refused(f"no list of {part}", shortened(document))
    return rows


def id_of(value: Any) -> int | str | None:
    """A number or a text, which other tools than COCO's use; None for all that is neither."""
    return value if isinstance(value, str) and value else whole_of(value)


def size_of(image: dict[str, Any]) -> tuple[int, int] | None:
    """Width and height that a row of ``images`` declares; none where it says nothing."""
    width, height = (whole_of(image.get(name)) for name in ("width", "height"))
    return (width, height) if width and height else None


def mark_of(row: dict[str, Any], number: int, table: Mapping[int, str]) -> Mark:
    """A row of ``annotations`` without its outline.

    Args:
        row: the row.
        number: of the annotation, for messages.
        table: names of the categories.

    Raises:
        Refused: a field is missing or of another type.
    """
    box = numbers_of(row.get("bbox"))
    if box is None or len(box) != 4:
        raise Refused("no bbox of four numbers", shortened(row.get("bbox")))
    category = whole_of(row.get("category_id"))
    if category is None:
        raise Refused("no category_id", shortened(row.get("category_id")))
    is_crowd = whole_of(row.get("iscrowd") or 0)
    if is_crowd not in (0, 1):
        raise Refused("iscrowd is neither 0 nor 1", shortened(row.get("iscrowd")))
    left, top, width, height = box
    corners = left, top, left + width, top + height
    return Mark(number, corners, table.get(category, ""), str(category), is_crowd == 1)


def outline_of(value: Any) -> Outline | None:
    """Polygons, or runs as lengths or compressed text; none where nothing is said.

    Args:
        value: of the field ``segmentation``.

    Raises:
        Refused: it is neither.
    """
    if value is None or value == []:
        return None
    if isinstance(value, list):
        rings = [numbers_of(ring) for ring in value]
        return Polygons(tuple(ring_of(ring or []) for ring in rings))
    size = numbers_of(value.get("size")) if isinstance(value, dict) else None
    if size is None or len(size) != 2:
        raise Refused("neither polygons nor runs", shortened(value))
    height, width = (whole_of(side) for side in size)
    counts = value.get("counts")
    lengths = decompress_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or height is None or width is None:
        raise Refused("malformed runs", shortened(counts))
    whole = [whole_of(length) for length in lengths]
    if any(length is None for length in whole):
        raise Refused("malformed runs", "a length that is no whole number")
    return checked_runs(height, width, [length for length in whole if length is not None])
