"""The kinds of targets, and how a table's cells become one."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from sftcore.data.kinds import Refused
from sftcore.data.targets.settings import AnnotationSettings
from sftcore.foundations.tables import printable

TargetKind = Literal["class", "labels", "numbers", "answers", "masks", "boxes"]
TARGET_KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
# One class; labels in alphabetical order; numbers in the order of their names; of answers, which
# stand in the examples themselves, nothing; of masks and boxes the classes that a picture shows.
Value = str | tuple[str, ...] | tuple[float, ...]

SETS: tuple[TargetKind, ...] = ("labels", "masks", "boxes")  # whose value is a set of names
ANNOTATED: tuple[TargetKind, ...] = ("masks", "boxes")  # of which files of annotations tell

_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_SEPARATORS = "|;"


@dataclass(frozen=True)
class Target:
    """What is to be predicted of every example.

    Attributes:
        kind: one class of several, any number of labels, numbers, answers, which stand in the
            example itself, a class of each pixel (masks), or objects (boxes).
        columns: of the table, for labels and numbers; without them they are found by their usual
            names. One column holds lists of labels; several hold one label each, as 0 or 1.
        low: least number that is allowed.
        high: largest number that is allowed.
        annotations: how masks and boxes are read.
    """

    kind: TargetKind = "class"
    columns: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    annotations: AnnotationSettings = field(default_factory=AnnotationSettings)

    @property
    def is_annotated(self) -> bool:
        """Whether files of annotations tell it, and no name and no column."""
        return self.kind in ANNOTATED

    def parse(self, label: str, cells: Sequence[str], columns: Sequence[str]) -> Value:
        """The target of one example.

        Args:
            label: its class, for classes.
            cells: texts of the target's columns otherwise.
            columns: names of these.

        Raises:
            Refused: a cell is missing or holds what no target is.
        """
        if self.kind == "class":
            return label
        if self.kind == "answers":
            return ()
        if self.kind == "numbers":
            return tuple(
                parse_number(cell, name, self.low, self.high)
                for cell, name in zip(cells, columns, strict=True)
            )
        if len(columns) == 1:
            return parse_list(cells[0], columns[0])
        flags = [parse_flag(cell, name) for cell, name in zip(cells, columns, strict=True)]
        return tuple(sorted(name for name, flag in zip(columns, flags, strict=True) if flag))


def value_text(value: Value) -> str:
    """A target as one text, different for different targets: a class's name, or a JSON list."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parse_list(cell: str, name: str) -> tuple[str, ...]:
    """A cell with a set of labels: a JSON list, or names between ``|`` or ``;``.

    ``[]`` is the set without labels. An empty cell is none: it may as well be that nobody looked.

    Args:
        cell: its text.
        name: of its column.

    Returns:
        The labels in alphabetical order, each once.

    Raises:
        Refused: the cell is empty or no such list.
    """
    cell = cell.strip()
    if not cell:
        raise Refused("no target", f"{printable(name)} is empty; write [] for no label")
    if cell.startswith("["):
        labels = _json_names(cell, name)
    else:
        used = [separator for separator in _SEPARATORS if separator in cell]
        if len(used) > 1:
            raise Refused("unknown target", f"{printable(name)} has both | and ;: use one of them")
        labels = cell.split(used[0]) if used else [cell]
    labels = [printable(label.strip()) for label in labels]
    if not all(labels):
        raise Refused("unknown target", f"{printable(name)} has a label without a name")
    return tuple(sorted(set(labels)))


def _json_names(cell: str, name: str) -> list[str]:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "unknown target", f'{printable(name)} is no JSON list such as ["a", "b"]'
        ) from error
    if any(not isinstance(label, str | int) or isinstance(label, bool) for label in found):
        raise Refused("unknown target", f"{printable(name)} lists what is no name of a label")
    return [str(label) for label in found]


def parse_flag(cell: str, name: str) -> bool:
    """A cell of a label's own column: 0 or 1, false or true.

    Args:
        cell: its text.
        name: of the label.

    Raises:
        Refused: the cell holds anything else.
    """
    word = cell.strip().lower()
    if not word:
        raise Refused("no target", f"{printable(name)} is empty")
    if word not in _FLAGS:
        raise Refused(
            "unknown target", f"{printable(name)} is {printable(cell[:40])!r}, not 0 or 1"
        )
    return _FLAGS[word]


def parse_number(cell: str, name: str, low: float, high: float) -> float:
    """A cell with a number in decimal digits.

    Args:
        cell: its text.
        name: of the number.
        low: least number that is allowed.
        high: largest number that is allowed.

    Raises:
        Refused: the cell is empty, no number, not finite, or out of range.
    """
    word = cell.strip()
    if not word:
        raise Refused("no target", f"{printable(name)} is empty")
    is_number = _NUMBER.fullmatch(word)
    if not is_number and not _NOT_FINITE.fullmatch(word):
        raise Refused("not a number", f"{printable(name)} is {printable(cell[:40])!r}")
    number = float(word)
    if not math.isfinite(number):
        raise Refused("not finite", f"{printable(name)} is {word[:40]}")
    if not low <= number <= high:
        raise Refused(
            "out of range", f"{printable(name)} is {number:g}, not in [{low:g}, {high:g}]"
        )
    return number
