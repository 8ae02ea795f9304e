"""Which column of a table is the example, the target, its name, the split and the group."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sftcore.data.kinds import Names
from sftcore.data.sources.sought import PICTURES_WITH_CLASSES, Sought
from sftcore.data.targets.columns import MissingColumn as MissingColumn
from sftcore.data.targets.columns import UnclearColumn, target_columns

LABELS = ("label", "class", "labels", "category", "target", "fine_label", "coarse_label")
LABEL_NAMES = ("label_name", "class_name", "label_text")


@dataclass(frozen=True)
class Columns:
    """Names of columns as the table spells them; empty where there is none.

    Attributes:
        example: holds the example, or the path of its file.
        is_cell: whether it holds the example itself, by the column's name.
        label: the class, for classes.
        split: train, val or test.
        group: of examples that belong together.
        targets: columns of labels or numbers, by the names of these.
        parts: of examples that have parts, the column of each; ``example`` is the first of them.
    """

    example: str
    is_cell: bool
    label: str
    split: str
    group: str
    targets: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def example_of(self, cell_of: Callable[[str], Callable[[int], Any]]) -> Callable[[int], Any]:
        """The example's cell of a row, or its cells by the names of their parts.

        Args:
            cell_of: from a column to its cell of a row.
        """
        if not self.parts:
            return cell_of(self.example)
        cells = {part: cell_of(column) for part, column in self.parts.items()}
        return lambda row: {part: cell(row) for part, cell in cells.items()}

    def wanted(self) -> list[str]:
        """The columns that are read when the examples are listed."""
        usual = [name for name in (self.label, self.split, self.group) if name]
        return list(dict.fromkeys([*usual, *self.targets.values()]))


def find_columns(
    names: Sequence[str],
    place: str,
    sought: Sought = PICTURES_WITH_CLASSES,
    *,
    bytes_columns: Collection[str] = (),
    class_labels: Mapping[str, Sequence[str]] | None = None,
) -> Columns:
    """The columns that matter, in any case of letters.

    Args:
        names: all columns.
        place: what messages call the table.
        sought: what is looked for.
        bytes_columns: columns that hold files by their type.
        class_labels: columns that hold classes by their type, with the names of the classes.

    Raises:
        MissingColumn: no column of examples or of targets.
        UnclearColumn: several columns that could be it.
    """
    named = {name.strip().lower(): name for name in reversed(names)}
    kind = sought.names
    if kind.parts:
        return _with_parts(kind, named, names, place, sought)
    found = "" if kind.is_cell else _one(list(bytes_columns), kind.noun, kind.columns[0], place)
    example = found or _named(named, kind.columns, kind.noun, place)
    is_cell = kind.is_cell and bool(example)
    example = example or _named(named, kind.paths, f"path of the {kind.noun}", place)
    if not example and not (sought.is_class and sought.has_target):
        raise MissingColumn(_lacking([kind.columns[0]], names, place, sought))
    if not sought.has_target:
        return Columns(example, is_cell, "", "", "")
    targets = {} if sought.is_class else target_columns(sought.target, names, place)
    label = _label_column(named, class_labels or {}, place) if sought.is_class else ""
    missing = [] if example else [kind.columns[0]]
    missing += ["label"] if sought.is_class and not label else []
    if missing:
        raise MissingColumn(_lacking(missing, names, place, sought))
    return Columns(example, is_cell, label, named.get("split", ""), named.get("group", ""), targets)


def _with_parts(
    kind: Names, named: Mapping[str, str], names: Sequence[str], place: str, sought: Sought
) -> Columns:
    """Columns of an example that has parts: one that holds it whole, or one for each part."""
    whole = _named(named, kind.columns, kind.noun, place)
    parts = {kind.columns[0]: whole} if whole else {}
    for known in kind.parts:
        if parts:
            break
        found = {part: _named(named, of, part, place) for part, of in known.needed.items()}
        if all(found.values()):
            more = {part: _named(named, of, part, place) for part, of in known.optional.items()}
            parts = found | {part: column for part, column in more.items() if column}
    if not parts:
        ways = [kind.columns[0], *(" and ".join(known.needed) for known in kind.parts)]
        raise MissingColumn(
            f"{place} holds no {kind.noun}; it has the columns {', '.join(names)}. Wanted: "
            f"{', or '.join(ways)}, and if you like split and group"
        )
    split, group = (named.get(name, "") if sought.has_target else "" for name in ("split", "group"))
    return Columns(next(iter(parts.values())), True, "", split, group, {}, parts)


def _lacking(missing: Sequence[str], names: Sequence[str], place: str, sought: Sought) -> str:
    first, *others = sought.names.columns
    wanted = f"{first} (or {', '.join(others[:4])})" if others else first
    if sought.has_target:
        target = "label (or class)" if sought.is_class else f"the {sought.target.kind}"
        wanted += f", {target}, and if you like split and group"
    return (
        f"{place} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}; it has "
        f"{', '.join(names)}. Wanted: {wanted}"
    )


def _label_column(
    named: Mapping[str, str], class_labels: Mapping[str, Sequence[str]], place: str
) -> str:
    """The column of the class: its name's if there is one, else one by its type, else by name."""
    texts = [named[name] for name in LABEL_NAMES if name in named]
    if len(texts) == 1:
        return texts[0]
    by_type = list(class_labels)
    if len(by_type) > 1 and named.get("label") in by_type:
        return named["label"]
    return _one(by_type, "label", "label", place) or _named(named, LABELS, "label", place)


def _named(named: Mapping[str, str], wanted: Sequence[str], what: str, place: str) -> str:
    """The first of the wanted names alone wins over others; of the rest there may be one."""
    if not wanted:
        return ""
    if wanted[0] in named:
        return named[wanted[0]]
    return _one([named[name] for name in wanted if name in named], what, wanted[0], place)


def _one(found: list[str], what: str, usual: str, place: str) -> str:
    if len(found) > 1:
        raise UnclearColumn(
            f"{place}: the columns {', '.join(found)} could each be the {what}. Name the one that "
            f"is meant {usual!r}, or leave only one"
        )
    return found[0] if found else ""
