"""Digits of tables."""

import pytest

from sftcore.reporting.numbers import difference, format_column


def test_a_difference_that_rounds_to_nothing_is_not_below_nothing() -> None:
    assert difference(0.0116, -0.1271, 0.1489) == "+0.012 [-0.127, +0.149]"
    assert difference(-0.0004, -0.0023, 0.0004) == "+0.000 [-0.002, +0.000]"


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["0.0001246", "-0.028", "0.0312"], ["0.0001", "-0.0280", "0.0312"]),
        (["0.642123", "0.56", "1.0"], ["0.64", "0.56", "1.00"]),
        (["1.5401", "-0.0224", "0.031"], ["1.540", "-0.022", "0.031"]),
        (["15401.5", "-0.0224", "0.031"], ["15402", "0", "0"]),
        (["-0.114431", "0.02249", ""], ["-0.114", "0.022", "–"]),
        (["1234.5678", "2.25"], ["1235", "2"]),
        (["0.0008", "0.0297"], ["0.0008", "0.0297"]),
        (["12", "7", "1000"], ["12", "7", "1000"]),
        (["-0.00001", "0.5"], ["0.000", "0.500"]),
        (["007", "12"], ["007", "12"]),
        (["1e-05", "0.25"], ["0.000", "0.250"]),
        (["True", "False", "nan"], ["yes", "no", "–"]),
        (["NA", "null", "1.5"], ["NA", "null", "1.5"]),
        (["0.0", "0"], ["0", "0"]),
        ([""], ["–"]),
        (["=1+1", "<b>"], ["=1+1", "<b>"]),
    ],
)
def test_a_column_has_digits_that_can_be_compared(cells: list[str], shown: list[str]) -> None:
    assert format_column(cells) == shown


def test_learning_rates_have_digits_of_their_own() -> None:
    rates = ["0.0001", "0.01", "0.123456", "100.0", ""]
    assert format_column(rates, has_own_digits=True) == ["0.0001", "0.01", "0.123", "100", "–"]
