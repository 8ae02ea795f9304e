"""The data in a few lines on a terminal, for two classes and for a thousand."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

_MOST_CLASSES = 8  # of more only the smallest and the largest are named
_NUM_ENDS = 3
_NAME_WIDTH = 34  # columns of a terminal
_SPLITS = ("train", "val", "test")


def class_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Pictures of every class by split, the smallest class first, then by name.

    Args:
        summary: content of ``data/prepared/summary.json``.

    Returns:
        Columns class, train, val, test, all.
    """
    rows = [
        {"class": name, **counts, "all": sum(counts.values())}
        for name, counts in summary["classes"].items()
    ]
    table = pd.DataFrame(rows, columns=["class", *_SPLITS, "all"])
    return table.sort_values(["all", "class"], kind="stable").reset_index(drop=True)


def table_lines(summary: Mapping[str, Any]) -> list[str]:
    """Pictures of the classes by split; at most 80 columns wide.

    Args:
        summary: content of ``data/prepared/summary.json``.
    """
    table = class_table(summary)
    lines = [f"{'class':<{_NAME_WIDTH}}" + _numbers([*_SPLITS, "all"])]
    lines += (
        [_class_line(row) for row in table.to_dict("records")]
        if (len(table) <= _MOST_CLASSES)
        else _ends(table)
    )
    total = [*(summary["splits"][name] for name in _SPLITS), summary["num_pictures"]]
    lines.append(f"{f'all {len(table)} classes':<{_NAME_WIDTH}}" + _numbers(total))
    return lines


def overview_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Refused pictures by reason, and near-duplicates.

    Args:
        summary: content of ``data/prepared/summary.json``.
    """
    refused = sorted(summary["refused"].items(), key=lambda item: (-item[1], item[0]))
    listing = ", ".join(f"{count:,} {reason}" for reason, count in refused)
    return [
        f"Refused: {listing} (data/prepared/audit.csv)." if refused else "Refused: no picture.",
        _groups_sentence(summary["near_duplicates"]),
    ]


def groups_name(near: Mapping[str, Any]) -> str:
    """What keeps pictures together: near-duplicates, groups that the data name, or both.

    Args:
        near: of the summary.
    """
    names = ["near-duplicates"] * ("are_not_sought" not in near)
    names += ["groups that the data name"] * ("hold_given_groups" in near)
    return " and ".join(names) or "near-duplicates"


def _groups_sentence(near: Mapping[str, Any]) -> str:
    name = groups_name(near)
    begin = f"{name[0].upper()}{name[1:]}"
    if near["num_groups"]:
        groups = f"{near['num_groups']:,} group{'s' * (near['num_groups'] > 1)}"
        return (
            f"{begin}: {near['num_pictures']:,} pictures in {groups}, the largest of "
            f"{near['largest_group']:,}; no group crosses splits."
        )
    if "are_not_sought" in near:
        return "Near-duplicates: not looked for (data.near_duplicate_distance: -1)."
    return f"{begin}: none found."


def _ends(table: pd.DataFrame) -> list[str]:
    smallest, largest = table.head(_NUM_ENDS), table.tail(_NUM_ENDS)
    between = table.iloc[_NUM_ENDS:-_NUM_ENDS]
    sizes = f"{between['all'].min():,} to {between['all'].max():,} pictures each"
    return [
        *(_class_line(row) for row in smallest.to_dict("records")),
        f"  ... {len(between):,} classes between, {sizes} ...",
        *(_class_line(row) for row in largest.to_dict("records")),
    ]


def _class_line(row: Mapping[Any, Any]) -> str:
    counts = [row[name] for name in (*_SPLITS, "all")]
    return _padded(f"  {terminal_text(row['class'])}", _NAME_WIDTH) + _numbers(counts)


def _numbers(values: Sequence[int | str]) -> str:
    return "".join(
        f"{value:>10}" if isinstance(value, str) else f"{value:>10,}" for value in values
    )


def terminal_text(text: str) -> str:
    """A text without characters that steer a terminal or that it cannot show."""
    return "".join(c if c.isprintable() else "?" for c in unicodedata.normalize("NFC", text))


def _padded(text: str, width: int) -> str:
    """A text of exactly so many columns, cut if it is longer; wide characters take two."""
    kept, used = "", 0
    for character in text:
        columns = _columns(character)
        if used + columns > width - 1:
            return kept[:-1] + "…" + " " * (width - used + _columns(kept[-1]) - 1)
        kept, used = kept + character, used + columns
    return kept + " " * (width - used)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
