"""Which column of a table is the picture, the label, its name, the split and the group."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sftcore.foundations.errors import DataError

PICTURES = (
    "path", "image", "file_name", "filename", "file", "img", "image_path", "picture", "image_bytes",
    "bytes", "base64", "image_base64",
)  # fmt: skip
LABELS = ("label", "class", "labels", "category", "target", "fine_label", "coarse_label")
LABEL_NAMES = ("label_name", "class_name", "label_text")


class MissingColumn(DataError):
    """A table has no column for the pictures, or none for the labels."""


@dataclass(frozen=True)
class Columns:
    """Names of columns as the table spells them; empty where there is none."""

    picture: str
    label: str
    split: str
    group: str

    def wanted(self) -> list[str]:
        """The columns that are read when the pictures are listed."""
        return [name for name in (self.label, self.split, self.group) if name]


def find_columns(
    names: Sequence[str],
    place: str,
    *,
    pictures: Collection[str] = (),
    class_labels: Mapping[str, Sequence[str]] | None = None,
) -> Columns:
    """The columns that matter, in any case of letters.

    Args:
        names: all columns.
        place: what messages call the table.
        pictures: columns that hold pictures by their type.
        class_labels: columns that hold classes by their type, with the names of the classes.

    Raises:
        MissingColumn: no picture or label column.
        DataError: several columns that could be it.
    """
    named = {name.strip().lower(): name for name in reversed(names)}
    picture = _one(list(pictures), "picture", place) or _named(named, PICTURES, "picture", place)
    texts = [named[name] for name in LABEL_NAMES if name in named]
    label = (
        texts[0] if len(texts) == 1
        else _one(list(class_labels or ()), "label", place, named)
        or _named(named, LABELS, "label", place)
    )  # fmt: skip
    missing = [name for name, found in (("path", picture), ("label", label)) if not found]
    if missing:
        raise MissingColumn(
            f"{place} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}; it has "
            f"{', '.join(names)}. Wanted: path (or {', '.join(PICTURES[1:5])}), label (or class), "
            "and if you like split and group"
        )
    return Columns(picture, label, named.get("split", ""), named.get("group", ""))


def _named(named: Mapping[str, str], wanted: Sequence[str], what: str, place: str) -> str:
    """The first of the wanted names alone wins over others; of the rest there may be one."""
    if wanted[0] in named:
        return named[wanted[0]]
    return _one([named[name] for name in wanted if name in named], what, place)


def _one(found: list[str], what: str, place: str, named: Mapping[str, str] | None = None) -> str:
    if len(found) > 1 and named and named.get("label") in found:
        return named["label"]
    if len(found) > 1:
        usual = {"picture": "path", "label": "label"}[what]
        raise DataError(
            f"{place}: the columns {', '.join(found)} could each be the {what}. Name the one that "
            f"is meant {usual!r}, or leave only one"
        )
    return found[0] if found else ""
