"""The data in a few lines on a terminal, for two classes and for a thousand."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sftcore.data.kinds import Names
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.inspection.annotation_report import annotation_sentences

_MOST_NAMED = 8  # classes or labels; of more only the smallest and the largest are named
NUM_ENDS = 3
NAME_WIDTH = 34  # columns of a terminal
_SPLITS = ("train", "val", "test")


def count_table(counts: Mapping[str, Mapping[str, int]], noun: str) -> pd.DataFrame:
    """Examples of every class or label by split, the smallest first, then by name.

    Args:
        counts: of each by its name and by split, as ``data/prepared/summary.json`` has them.
        noun: class or label.

    Returns:
        Columns ``noun``, train, val, test, all.
    """
    rows = [{noun: name, **each, "all": sum(each.values())} for name, each in counts.items()]
    table = pd.DataFrame(rows, columns=[noun, *_SPLITS, "all"])
    return table.sort_values(["all", noun], kind="stable").reset_index(drop=True)


def count_lines(
    table: pd.DataFrame, splits: Mapping[str, int], names: Names, plural: str, total: str
) -> list[str]:
    """Such a table for a terminal; at most 80 columns wide.

    Args:
        table: see :func:`count_table`.
        splits: examples of each split.
        names: what they are called.
        plural: classes or labels.
        total: what the last line is called.
    """
    noun = str(table.columns[0])
    lines = [f"{noun:<{NAME_WIDTH}}" + cells([*_SPLITS, "all"])]
    lines += (
        [_count_line(row, noun) for row in table.to_dict("records")]
        if (len(table) <= _MOST_NAMED)
        else _ends(table, names.plural, plural)
    )
    return [*lines, *split_lines(splits, sum(splits.values()), total)[1:]]


def split_lines(splits: Mapping[str, int], num_examples: int, total: str) -> list[str]:
    """A heading and a line: examples of each split and of all.

    Args:
        splits: examples of each.
        num_examples: of all.
        total: what the line is called.
    """
    counts = [*(splits[name] for name in _SPLITS), num_examples]
    return [
        " " * NAME_WIDTH + cells([*_SPLITS, "all"]),
        f"{total:<{NAME_WIDTH}}" + cells(counts),
    ]


def overview_sentences(summary: Mapping[str, Any], names: Names = PICTURE_NAMES) -> list[str]:
    """Refused examples by reason, what was noted of annotations, and near-duplicates.

    Args:
        summary: content of ``data/prepared/summary.json``.
        names: what examples are called.
    """
    refused = sorted(summary["refused"].items(), key=lambda item: (-item[1], item[0]))
    listing = ", ".join(f"{count:,} {reason}" for reason, count in refused)
    nothing = f"Refused: no {names.noun}."
    return [
        f"Refused: {listing} (data/prepared/audit.csv)." if refused else nothing,
        *annotation_sentences(summary),
        _groups_sentence(summary["near_duplicates"], names.plural),
    ]


def groups_name(near: Mapping[str, Any]) -> str:
    """What keeps examples together: near-duplicates, groups that the data name, or both.

    Args:
        near: of the summary.
    """
    names = ["near-duplicates"] * ("are_not_sought" not in near)
    names += ["groups that the data name"] * ("hold_given_groups" in near)
    return " and ".join(names) or "near-duplicates"


def _groups_sentence(near: Mapping[str, Any], plural: str) -> str:
    name = groups_name(near)
    begin = f"{name[0].upper()}{name[1:]}"
    if near["num_groups"]:
        groups = f"{near['num_groups']:,} group{'s' * (near['num_groups'] > 1)}"
        return (
            f"{begin}: {near[f'num_{plural}']:,} {plural} in {groups}, the largest of "
            f"{near['largest_group']:,}; no group crosses splits."
        )
    if "are_not_sought" in near:
        return "Near-duplicates: not looked for (data.near_duplicate_distance: -1)."
    return f"{begin}: none found."


def _ends(table: pd.DataFrame, examples: str, plural: str) -> list[str]:
    noun = str(table.columns[0])
    smallest, largest = table.head(NUM_ENDS), table.tail(NUM_ENDS)
    between = table.iloc[NUM_ENDS:-NUM_ENDS]
    least, most = int(between["all"].min()), int(between["all"].max())
    sizes = f"{least:,}{f' to {most:,}' * (most > least)} {examples} each"
    return [
        *(_count_line(row, noun) for row in smallest.to_dict("records")),
        f"  ... {len(between):,} {plural} between, {sizes} ...",
        *(_count_line(row, noun) for row in largest.to_dict("records")),
    ]


def _count_line(row: Mapping[Any, Any], noun: str) -> str:
    return padded(f"  {row[noun]}") + cells([row[name] for name in (*_SPLITS, "all")])


def cells(values: Sequence[int | float | str]) -> str:
    """Columns of a table for a terminal, ten wide."""
    return "".join(f"{_cell(value):>10}" for value in values)


def _cell(value: int | float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def terminal_text(text: str) -> str:
    """A text without characters that steer a terminal or that it cannot show."""
    return "".join(c if c.isprintable() else "?" for c in unicodedata.normalize("NFC", text))


def padded(text: str) -> str:
    """A text of exactly :data:`NAME_WIDTH` columns, cut if it is longer; wide characters take two.

    Args:
        text: may hold anything; see :func:`terminal_text`.
    """
    kept, used = "", 0
    for character in terminal_text(text):
        columns = _columns(character)
        if used + columns > NAME_WIDTH - 1:
            return kept[:-1] + "…" + " " * (NAME_WIDTH - used + _columns(kept[-1]) - 1)
        kept, used = kept + character, used + columns
    return kept + " " * (NAME_WIDTH - used)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
