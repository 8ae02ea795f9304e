"""Judging annotations: each is used as it is, clipped and said to be, or refused with a line."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from sftcore.data.annotations.boxes import judge_marks
from sftcore.data.annotations.faults import (
    EMPTY,
    MASK_SIZE,
    NONE_LEFT,
    OTHER_SIZE,
    TURNED,
    TURNED_SIZE,
    UNKNOWN_COLOUR,
    UNKNOWN_VALUE,
    UNREADABLE,
    Fault,
    Limits,
    Severity,
    check_faults,
    listing,
)
from sftcore.data.annotations.mask_pixels import open_mask, to_indices
from sftcore.data.annotations.values import Annotated, AnnotationSet, Entry
from sftcore.data.kinds import Refused
from sftcore.foundations.errors import DataError

_ORIENTATION = 0x0112  # the EXIF tag
_SWAPPING = (5, 6, 7, 8)  # orientations that exchange width and height
_MOST_VALUES = 10  # lines of unknown values of one mask
Size = tuple[int, int]
# A picture's own size and its orientation, or why it cannot be read.
_Look = tuple[Entry, tuple[Size, int] | Fault]


@dataclass(frozen=True)
class Audit:
    """What was found in a whole set.

    Attributes:
        faults: of the files and of all pictures.
        num_pictures: that files name, and files that name none.
        num_used: pictures of them.
        num_annotations: of them; for masks one for each.
    """

    faults: tuple[Fault, ...]
    num_pictures: int
    num_used: int
    num_annotations: int


def judge_set(
    found: AnnotationSet,
    limits: Limits,
    keep: Callable[[Annotated], None],
    classes: Collection[str] | None = None,
) -> Audit:
    """Judge all pictures of a set, each of which is opened once.

    Args:
        found: what the files say.
        limits: how much may be wrong.
        keep: is given each picture that is used, in the order that costs least to read.
        classes: names that are accepted, as of a model; all of the set's own for None.

    Raises:
        DataError: more than the limits allow is refused, or nothing is left.
    """
    faults = list(found.faults)
    num_used = 0
    for annotated, own in judge_pictures(found, limits, classes):
        faults += own
        if annotated is not None:
            num_used += 1
            keep(annotated)
    num_pictures, num_annotations = _counts(found)
    check_faults(faults, num_pictures, num_annotations, limits)
    if not num_used:
        raise DataError(
            f"{found.tree.shown()} holds no annotated picture that can be used{listing(faults)}"
        )
    return Audit(tuple(faults), num_pictures, num_used, num_annotations)


def _counts(found: AnnotationSet) -> tuple[int, int]:
    """Pictures and annotations that files name, also those that could not be read."""
    entries = {entry.picture for entry in found.entries}
    lost = {
        fault.picture or f"{fault.file} {fault.where}"
        for fault in found.faults
        if fault.severity == "picture" and fault.picture not in entries
    }
    orphans = sum(f.severity == "annotation" for f in found.faults) - sum(
        entry.num_lost for entry in found.entries
    )
    num_annotations = orphans + sum(
        1 if entry.mask else len(entry.marks) + entry.num_lost for entry in found.entries
    )
    return len(found.entries) + len(lost), num_annotations


def judge_pictures(
    found: AnnotationSet, limits: Limits, classes: Collection[str] | None = None
) -> Iterator[tuple[Annotated | None, list[Fault]]]:
    """Each picture with what is used of it, and its faults; None where nothing is.

    Args:
        found: what the files say.
        limits: see :class:`Limits`.
        classes: names that are accepted; None for all of the set's own.
    """
    known = found.classes if classes is None else classes
    place = found.tree.positions
    entries = sorted(found.entries, key=lambda entry: place.get(entry.picture, 0))
    looks: Iterable[_Look] = ((entry, _look(found, entry, limits)) for entry in entries)
    if any(entry.mask for entry in entries):
        # A compressed archive is read from front to back: all pictures, and then all masks.
        looks = sorted(looks, key=lambda look: place.get(look[0].mask, 0))
    for entry, seen in looks:
        if isinstance(seen, Fault):
            yield None, [seen]
        else:
            yield _judge_entry(found, entry, seen, limits, known)


def _look(found: AnnotationSet, entry: Entry, limits: Limits) -> tuple[Size, int] | Fault:
    """The picture's own size and orientation, or why it cannot be read."""
    try:
        return picture_size(found.tree.reader(entry.picture)(), max_pixels=limits.max_pixels)
    except Refused as why:
        what = f"{why.reason}: {why.detail}"
        return Fault(entry.picture, entry.file, "", UNREADABLE, what, "picture")


def _judge_entry(
    found: AnnotationSet,
    entry: Entry,
    seen: tuple[Size, int],
    limits: Limits,
    known: Collection[str],
) -> tuple[Annotated | None, list[Fault]]:
    stored, orientation = seen
    size = (stored[1], stored[0]) if orientation in _SWAPPING else stored
    faults = _size_faults(entry, stored, size, orientation)
    if any(fault.severity == "picture" for fault in faults):
        return None, faults
    shown = Annotated(entry.picture, entry.split, size)
    if entry.mask:
        mask, more = _judge_mask(found, entry, size, limits)
        return (None if mask is None else replace(shown, mask=mask)), [*faults, *more]
    boxes, more = judge_marks(entry, size, known, limits.min_inside_fraction)
    faults += more
    num_given = len(entry.marks) + entry.num_lost
    if not num_given:
        faults.append(Fault(entry.picture, entry.file, "", EMPTY, "used as such", "remark"))
    elif not boxes.names:
        what = f"all {num_given} are refused"
        faults.append(Fault(entry.picture, entry.file, "", NONE_LEFT, what, "picture"))
        return None, faults
    return replace(shown, boxes=boxes), faults


def picture_size(content: bytes, *, max_pixels: int) -> tuple[Size, int]:
    """Width and height as the file stores them, and the EXIF orientation (1 for none).

    Args:
        content: the file's bytes; not decoded but where EXIF may stand behind the pixels.
        max_pixels: more than this is refused.

    Raises:
        Refused: it is no picture, or over the limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(content)) as image:
                size = image.size
                if size[0] * size[1] > max_pixels:  # some formats are decoded for their EXIF
                    raise Refused("over the pixel limit", f"{size[0]} x {size[1]}")
                orientation = image.getexif().get(_ORIENTATION, 1)
        except Refused:
            raise
        except Exception as error:  # Pillow's readers raise many kinds on hostile bytes
            raise Refused("not a picture", type(error).__name__) from error
    return size, orientation if orientation in range(1, 9) else 1


def _size_faults(entry: Entry, stored: Size, size: Size, orientation: int) -> list[Fault]:
    """Whether the declared size is that of the picture as it is shown."""

    def fault(kind: str, detail: str, *, is_remark: bool = False) -> list[Fault]:
        severity: Severity = "remark" if is_remark else "picture"
        return [Fault(entry.picture, entry.file, "", kind, detail, severity)]

    if entry.size is not None and entry.size != size:
        declared, real = _by(entry.size), _by(size)
        if entry.size == stored:
            what = f"{declared}; EXIF orientation {orientation} turns it to {real}"
            return fault(TURNED_SIZE, what)
        return fault(OTHER_SIZE, f"{declared} declared, {real} is the picture")
    if orientation != 1 and (entry.size is None or stored == size):
        what = f"orientation {orientation}; annotations are taken for those of the turned picture"
        return fault(TURNED, what, is_remark=True)
    return []


def _judge_mask(
    found: AnnotationSet, entry: Entry, size: Size, limits: Limits
) -> tuple[np.ndarray | None, list[Fault]]:
    def fault(kind: str, detail: str, where: str = "") -> Fault:
        return Fault(entry.picture, entry.mask, where, kind, detail, "picture")

    is_coloured = found.is_coloured
    try:
        content = found.tree.reader(entry.mask)()
        values = open_mask(content, max_pixels=limits.max_pixels, is_coloured=is_coloured)
    except Refused as why:
        return None, [fault(why.reason, why.detail)]
    own = values.shape[1], values.shape[0]
    if own != size:
        return None, [fault(MASK_SIZE, f"{_by(own)}, the picture {_by(size)}")]
    mask, unknown = to_indices(values, found.values, is_coloured=is_coloured)
    if not unknown:
        return mask, []
    kind = UNKNOWN_COLOUR if is_coloured else UNKNOWN_VALUE
    lines = [
        fault(kind, _pixels(count, values.size), _value(value, is_coloured))
        for value, count in list(unknown.items())[:_MOST_VALUES]
    ]
    if rest := list(unknown.values())[_MOST_VALUES:]:
        lines.append(fault(kind, _pixels(sum(rest), values.size), f"{len(rest)} other values"))
    return None, lines


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _pixels(count: int, total: int) -> str:
    return f"{count} of {total} pixels"


def _value(value: int, is_coloured: bool) -> str:
    if not is_coloured:
        return f"value {value}"
    return f"colour {value >> 16},{value >> 8 & 255},{value & 255}"
