"""Judging the boxes of one picture against its size, the classes and each other."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from sftcore.data.annotations.documents import listed_numbers, shortened
from sftcore.data.annotations.faults import (
    DOUBLED,
    MALFORMED_OUTLINE,
    MOSTLY_OUTSIDE,
    NO_AREA,
    NOT_FINITE,
    OUTSIDE,
    PARTLY_OUTSIDE,
    TWO_CLASSES,
    UNKNOWN_CLASS,
    UNKNOWN_NUMBER,
    Fault,
    Severity,
)
from sftcore.data.annotations.outlines import Outline, Polygons
from sftcore.data.annotations.values import Boxes, Entry, Mark
from sftcore.data.kinds import Refused

SAME_IOU = 0.95  # from here on two boxes are one
# Pixels by which a box may reach beyond the picture: files have their numbers with few decimals.
ROUNDING = 0.02
Corners = tuple[float, float, float, float]
_Tell = Callable[[Mark, str, str, Severity], None]


def judge_marks(
    entry: Entry, size: tuple[int, int], known: Collection[str], min_inside_fraction: float
) -> tuple[Boxes, list[Fault]]:
    """The annotations of a picture that are used, and a line for each that is not or is clipped.

    Args:
        entry: what the files say of the picture.
        size: its real width and height in pixels.
        known: names of classes that are accepted.
        min_inside_fraction: part of a box's area that must be inside of the picture.
    """
    faults: list[Fault] = []
    unit = "line" if entry.is_relative else "annotation"

    def tell(mark: Mark, fault: str, detail: str, severity: Severity) -> None:
        where = f"{unit} {mark.number}"
        faults.append(Fault(entry.picture, entry.file, where, fault, detail, severity))

    kept = []
    for given in entry.marks:
        mark = _in_pixels(given, size) if entry.is_relative else given
        try:
            _check_class(mark, known)
            kept.append(_inside(mark, size, min_inside_fraction, tell))
        except Refused as why:
            tell(mark, why.reason, why.detail, "annotation")
    kept = _without_copies(kept, tell)
    corners = np.array([mark.corners for mark in kept], dtype=np.float64).reshape(-1, 4)
    return Boxes(
        corners,
        tuple(mark.name for mark in kept),
        np.array([mark.is_crowd for mark in kept], dtype=bool),
        tuple(mark.number for mark in kept),
        tuple(_checked_outline(mark, size, tell) for mark in kept),
    ), faults


def _in_pixels(mark: Mark, size: tuple[int, int]) -> Mark:
    width, height = size
    left, top, right, bottom = mark.corners
    corners = left * width, top * height, right * width, bottom * height
    outline = mark.outline
    if isinstance(outline, Polygons):
        outline = Polygons(tuple(ring * np.array([width, height]) for ring in outline.rings))
    return replace(mark, corners=corners, outline=outline)


def _check_class(mark: Mark, known: Collection[str]) -> None:
    if not mark.name:
        raise Refused(UNKNOWN_NUMBER, f"class {shortened(mark.class_number)}")
    if mark.name not in known:
        raise Refused(UNKNOWN_CLASS, shortened(mark.name))


def _inside(mark: Mark, size: tuple[int, int], min_fraction: float, tell: _Tell) -> Mark:
    """The mark with its box clipped to the picture.

    Raises:
        Refused: the box is none, or too little of it is inside.
    """
    left, top, right, bottom = mark.corners
    shown = listed_numbers(mark.corners)
    width, height = size
    if not all(isfinite(value) for value in mark.corners):
        raise Refused(NOT_FINITE, shown)
    if right <= left or bottom <= top or not _area(mark.corners):  # a product may be too small
        raise Refused(NO_AREA, f"{right - left:.6g} x {bottom - top:.6g} at {left:.6g}, {top:.6g}")
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise Refused(OUTSIDE, f"{shown} on a picture of {width} x {height}")
    clipped = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    beyond = [abs(c - g) for c, g in zip(clipped, mark.corners, strict=True)]
    if max(beyond) > ROUNDING:
        inside = _area(clipped) / _area(mark.corners)
        sides = ", ".join(
            f"{by:.6g} px beyond the {side}"
            for side, by in zip(("left", "top", "right", "bottom"), beyond, strict=True)
            if by > 0
        )
        part = f"{sides}; {inside:.1%} of its area is inside"
        if inside < min_fraction:
            raise Refused(MOSTLY_OUTSIDE, f"{part}, {min_fraction:.0%} are needed")
        what = f"{part}; clipped from {shown} to {listed_numbers(clipped)}"
        tell(mark, PARTLY_OUTSIDE, what, "remark")
    if _area(clipped) <= 0:
        raise Refused(NO_AREA, f"nothing of {shown} is left inside")
    return replace(mark, corners=clipped)


def _area(corners: Corners) -> float:
    left, top, right, bottom = corners
    return (right - left) * (bottom - top)


def _without_copies(marks: Sequence[Mark], tell: _Tell) -> list[Mark]:
    """Of copies the first; none where the same box has two classes, since nobody knows which.

    A region of a crowd may be where an object is, so only marks of one sort are compared.
    """
    dropped: dict[int, tuple[str, str]] = {}
    for first, second in same_boxes(np.array([mark.corners for mark in marks]).reshape(-1, 4)):
        one, other = marks[first], marks[second]
        if one.is_crowd != other.is_crowd:
            continue
        if one.name != other.name:
            for mark, twin, place in ((one, other, first), (other, one, second)):
                what = f"{shortened(mark.name)}; {twin.number} says {shortened(twin.name)}"
                dropped[place] = (TWO_CLASSES, what)
        elif dropped.get(first, ("",))[0] != DOUBLED:
            what = f"{shortened(other.name)}, as {one.number}"
            dropped.setdefault(second, (DOUBLED, what))
    for place, (fault, detail) in sorted(dropped.items()):
        tell(marks[place], fault, detail, "annotation")
    return [mark for place, mark in enumerate(marks) if place not in dropped]


def same_boxes(corners: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of boxes whose intersection over union is at least :data:`SAME_IOU`, in order.

    Of two such boxes the left edges differ by at most ``1 / SAME_IOU - 1`` of either's width, so in
    the order of left edges each is compared with few.

    Args:
        corners: float64 [n, 4] of positive areas.
    """
    order = np.argsort(corners[:, 0], kind="stable")
    sorted_ = corners[order]
    lefts, areas = sorted_[:, 0], np.prod(sorted_[:, 2:] - sorted_[:, :2], axis=1)
    reach = lefts + (sorted_[:, 2] - lefts) * (1 / SAME_IOU - 1)
    ends = np.searchsorted(lefts, reach, side="right")
    pairs = []
    for place, end in enumerate(ends):
        others = slice(place + 1, end)
        low = np.maximum(sorted_[place, :2], sorted_[others, :2])
        high = np.minimum(sorted_[place, 2:], sorted_[others, 2:])
        both = np.prod(np.clip(high - low, 0, None), axis=1)
        is_same = both >= SAME_IOU * (areas[place] + areas[others] - both)
        pairs += [(place, place + 1 + int(k)) for k in np.flatnonzero(is_same)]
    ends_of = [(int(order[a]), int(order[b])) for a, b in pairs]
    return sorted((min(pair), max(pair)) for pair in ends_of)


def _checked_outline(mark: Mark, size: tuple[int, int], tell: _Tell) -> Outline | None:
    """The outline where it can be one of this picture."""
    outline = mark.outline
    if outline is None or isinstance(outline, Polygons):
        return outline
    if (outline.width, outline.height) == size:
        return outline
    what = f"{outline.width} x {outline.height}, the picture {size[0]} x {size[1]}; left out"
    tell(mark, MALFORMED_OUTLINE, what, "remark")
    return None
