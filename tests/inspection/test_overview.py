"""The printed overview: right numbers, narrow lines, harmless names."""

import unicodedata
from typing import Any

import pytest

from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.inspection.overview import count_lines, count_table, overview_sentences


def summary(classes: dict[str, tuple[int, int, int]], **more: Any) -> dict[str, Any]:
    names = ("train", "val", "test")
    splits = {name: sum(counts[i] for counts in classes.values()) for i, name in enumerate(names)}
    return {
        "num_pictures": sum(splits.values()),
        "num_classes": len(classes),
        "num_refused": 0,
        "refused": {},
        "splits": splits,
        "classes": {name: dict(zip(names, c, strict=True)) for name, c in classes.items()},
        "near_duplicates": {"num_groups": 0, "num_pictures": 0, "largest_group": 1},
    } | more


def table_lines(summary: dict[str, Any]) -> list[str]:
    table = count_table(summary["classes"], "class")
    total = f"all {len(table)} classes"
    return count_lines(table, summary["splits"], PICTURE_NAMES, "classes", total)


def columns(line: str) -> int:
    """Columns that a terminal needs."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in line
    )


def test_two_classes_are_both_named() -> None:
    lines = table_lines(summary({"dog": (6, 2, 2), "cat": (3, 1, 1)}))
    assert [line.split() for line in lines[:4]] == [
        ["class", "train", "val", "test", "all"],
        ["cat", "3", "1", "1", "5"],
        ["dog", "6", "2", "2", "10"],
        ["all", "2", "classes", "9", "3", "3", "15"],
    ]
    assert len(lines) == 4


def test_a_thousand_classes_take_as_many_lines_as_nine() -> None:
    many = {f"class {n:03d}": (1000 + n, 20, 20) for n in range(1000)}
    lines = table_lines(summary(many))
    assert len(lines) == len(table_lines(summary(dict(list(many.items())[:9]))))
    assert lines[1].split() == ["class", "000", "1,000", "20", "20", "1,040"]
    assert lines[7].split() == ["class", "999", "1,999", "20", "20", "2,039"]
    assert lines[4].strip(" .") == "994 classes between, 1,043 to 2,036 pictures each"
    assert max(map(columns, lines)) <= 80


@pytest.mark.parametrize(
    "name", ["日本語" * 20, "é" * 50, "e\u0301" * 50, "x" * 200, "\u202egnp", "\x1b[31mred", "a\nb"]
)
def test_names_neither_shift_the_columns_nor_steer_the_terminal(name: str) -> None:
    lines = table_lines(summary({name: (3, 1, 1), "plain": (30, 10, 10)}))
    assert len({columns(line) for line in lines[:4]}) == 1
    assert all(line.isprintable() for line in lines)
    assert lines[1].split()[-4:] == ["3", "1", "1", "5"]


def test_reasons_and_groups_are_counted() -> None:
    sentences = overview_sentences(
        summary(
            {"a": (3, 1, 1), "b": (3, 1, 1)},
            refused={"truncated": 2, "empty file": 30},
            near_duplicates={"num_groups": 1, "num_pictures": 3, "largest_group": 3},
        )
    )
    assert sentences == [
        "Refused: 30 empty file, 2 truncated (data/prepared/audit.csv).",
        "Near-duplicates: 3 pictures in 1 group, the largest of 3; no group crosses splits.",
    ]


def test_nothing_refused_and_nothing_alike_is_said_too() -> None:
    sentences = overview_sentences(summary({"a": (3, 1, 1), "b": (3, 1, 1)}))
    assert sentences == ["Refused: no picture.", "Near-duplicates: none found."]
    assert overview_sentences(summary({"a": (3, 1, 1)}), TEXT_NAMES)[0] == "Refused: no text."


def test_many_labels_are_called_labels() -> None:
    counts = {f"label {n:02d}": {"train": n + 1, "val": 1, "test": 1} for n in range(12)}
    table = count_table(counts, "label")
    lines = count_lines(table, {"train": 7, "val": 2, "test": 2}, TEXT_NAMES, "labels", "all texts")
    assert lines[0].split()[0] == "label"
    assert lines[4].strip(" .") == "6 labels between, 6 to 11 texts each"
    assert lines[-1].split() == ["all", "texts", "7", "2", "2", "11"]
    same = count_table({name: {"train": 3, "val": 1, "test": 1} for name in counts}, "label")
    lines = count_lines(same, {"train": 7, "val": 2, "test": 2}, TEXT_NAMES, "labels", "all texts")
    assert lines[4].strip(" .") == "6 labels between, 5 texts each"


@pytest.mark.parametrize(
    ("near", "words"),
    [
        ({"are_not_sought": True}, "Near-duplicates: not looked for"),
        ({"hold_given_groups": True, "num_groups": 1},
         "Near-duplicates and groups that the data name: 3 pictures in 1 group"),
        ({"hold_given_groups": True, "are_not_sought": True, "num_groups": 2},
         "Groups that the data name: 3 pictures in 2 groups"),
    ],
)  # fmt: skip
def test_what_keeps_pictures_together_is_called_what_it_is(
    near: dict[str, Any], words: str
) -> None:
    counts = {"num_groups": 0, "num_pictures": 3, "largest_group": 3} | near
    sentence = overview_sentences(summary({"a": (3, 1, 1)}, near_duplicates=counts))[1]
    assert sentence.startswith(words)


def test_the_smallest_class_comes_first_and_equals_by_name() -> None:
    found = summary({"b": (3, 1, 1), "a": (3, 1, 1), "c": (2, 1, 1)})
    table = count_table(found["classes"], "class")
    assert table["class"].tolist() == ["c", "a", "b"]
    assert table["all"].tolist() == [4, 5, 5]
