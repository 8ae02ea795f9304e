"""Targets: what a table's cells become, which columns hold them, what stops the run."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.data.audit import Refusal
from sftcore.data.kinds import Refused
from sftcore.data.targets.columns import target_columns
from sftcore.data.targets.limits import check_targets
from sftcore.data.targets.target import (
    ANNOTATED,
    TARGET_KINDS,
    Target,
    Value,
    parse_flag,
    parse_list,
    parse_number,
    value_text,
)
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.foundations.errors import DataError

# Of every kind that cells tell of; files of annotations tell of masks and boxes.
COLUMNS = {"class": (), "labels": ("one",), "numbers": ("one",), "answers": ()}


def test_cells_tell_of_every_kind_but_those_of_annotations() -> None:
    assert {*COLUMNS, *ANNOTATED} == set(TARGET_KINDS)


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from([*COLUMNS]),
    cell=st.text(max_size=30)
    | st.from_regex(r"[\[\]{}\",|;0-9.eE+\-naif]{0,12}")
    | st.just("[" * 100_000),
)
def test_any_cell_is_a_target_or_refused(kind: str, cell: str) -> None:
    columns = COLUMNS[kind]
    why, value = None, ()
    try:
        value = Target(kind).parse("a class", [cell] * len(columns), columns)
    except Refused as refused:
        why = refused
    if why:
        assert len(why.reason) < 30
        assert "\n" not in why.detail
        return
    if kind == "answers":
        assert value == (), "they stand in the example"
    if kind == "numbers":
        assert all(math.isfinite(number) for number in value)
    if kind == "labels":
        assert list(value) == sorted(set(value))
        assert all(label.strip() == label != "" for label in value)
        assert Target(kind).parse("", [value_text(value)], columns) == value


@settings(max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(number: float) -> None:
    assert parse_number(repr(number), "y", -math.inf, math.inf) == number


@settings(max_examples=100)
@given(st.lists(st.text("abcé,'\"|;[] ", min_size=1).filter(lambda t: t.strip() == t)))
def test_a_json_list_may_hold_any_names(labels: list[str]) -> None:
    assert parse_list(json.dumps(labels), "tags") == tuple(sorted(set(labels)))


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("b|a", ("a", "b")), ("b; a ;b", ("a", "b")), ("[]", ()), ("a, b", ("a, b",)),
        ("[1, 2]", ("1", "2")), ('["a|b"]', ("a|b",)), ("0", ("0",)), (" a ", ("a",)),
    ],
)  # fmt: skip
def test_lists(cell: str, labels: tuple[str, ...]) -> None:
    assert parse_list(cell, "tags") == labels


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "no target"), (" ", "no target"),
        ("a|", "unknown target"), ("a|b;c", "unknown target"),
        ("['a']", "unknown target"), ("[true]", "unknown target"), ("[null]", "unknown target"),
        ("[[1]]", "unknown target"), ("[1.5]", "unknown target"), ('["a"', "unknown target"),
    ],
)  # fmt: skip
def test_no_lists(cell: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_list(cell, "tags")
    assert refused.value.reason == reason
    assert refused.value.detail.startswith("tags ")


def test_flags() -> None:
    cells = ("0", "1", "0.0", "1.0", "False", "TRUE", " 1 ")
    assert [parse_flag(cell, "x") for cell in cells] == [
        False,
        True,
        False,
        True,
        False,
        True,
        True,
    ]
    for cell in ("2", "yes", "", "-1", "0.5"):
        with pytest.raises(Refused):
            parse_flag(cell, "x")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "no target"),
        ("1,5", "not a number"), ("1_000", "not a number"), ("0x1", "not a number"),
        ("\u0661", "not a number"), ("True", "not a number"), ("nan", "not finite"),
        ("-inf", "not finite"), ("Infinity", "not finite"), ("1e999", "not finite"),
        ("-0.1", "out of range"), ("10.5", "out of range"),
    ],
)  # fmt: skip
def test_no_numbers(cell: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_number(cell, "y", 0, 10)
    assert refused.value.reason == reason


def test_columns_are_found_or_asked_for() -> None:
    labels, numbers = Target("labels"), Target("numbers")
    assert target_columns(labels, ["text", "Tags"], "t") == {"tags": "Tags"}
    assert target_columns(numbers, ["text", "label", "y"], "t") == {"y": "y"}
    assert target_columns(Target("numbers", ("B", "a")), ["b", "a", "A"], "t") == {
        "B": "b", "a": "a",
    }  # fmt: skip
    with pytest.raises(DataError, match="labels, tags could each be the labels"):
        target_columns(labels, ["labels", "tags"], "t")
    with pytest.raises(DataError, match="target, value, y could each be the numbers"):
        target_columns(numbers, ["y", "value", "target"], "t")
    with pytest.raises(DataError, match=r"t lacks the columns b, c; it has a\. Name"):
        target_columns(Target("numbers", ("a", "b", "c")), ["a"], "t")
    with pytest.raises(DataError, match="names a column twice"):
        target_columns(Target("labels", ("a", "A")), ["a"], "t")
    with pytest.raises(DataError, match="cannot be called Split"):
        target_columns(Target("numbers", ("Split",)), ["split"], "t")


def check(kind: str, values: list[Value], wanted: list[str], least: int = 2) -> None:
    refusals = [Refusal("a", "b", "no target", "tags is empty")]
    check_targets(kind, values, wanted, refusals, least=least, names=TEXT_NAMES)


def test_what_is_rare_or_never_changes_stops_the_run() -> None:
    sets: list[Value] = [("a",), ("a", "b"), ("b",), ()]
    check("labels", sets, ["a", "b"])
    with pytest.raises(DataError, match=r"2 labels with fewer than .* 3 usable texts: a \(2\), b"):
        check("labels", sets, ["a", "b"], least=3)
    with pytest.raises(DataError, match=r"1 label with fewer than .*: c \(0\)(.|\n)*1 x no target"):
        check("labels", sets, ["a", "b", "c"])
    with pytest.raises(DataError, match="every text has the label a"):
        check("labels", [("a", "b"), ("a",), ("a", "b")], ["a", "b"])
    with pytest.raises(DataError, match=r"1 label that fewer than .* 2 usable texts lack: a \(1\)"):
        check("labels", [("a", "b"), ("a",), ("a",), ("b",)], ["a", "b"])
    with pytest.raises(DataError, match="no text has a label"):
        check("labels", [(), ()], [])
    check("numbers", [(1.0, 2.0), (2.0, 1.0)], ["x", "y"])
    with pytest.raises(DataError, match=r"y is 2\.0 for every text"):
        check("numbers", [(1.0, 2.0), (2.0, 2.0), (1.0, 2.0)], ["x", "y"])
    with pytest.raises(DataError, match="no text is left to use"):
        check("numbers", [], ["x"])
