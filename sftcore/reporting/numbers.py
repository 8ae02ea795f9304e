"""Cells of a table as people read them: two or three significant digits, alike within a column."""

import math
import re
from collections.abc import Sequence

MISSING = "–"
_DIGITS = 3  # significant ones of a column's largest number
_MOST_DECIMALS = 4
_WHOLE = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"True": "yes", "False": "no", "nan": MISSING, "": MISSING}


def difference(value: float, low: float, high: float) -> str:
    """``+0.012 [-0.005, +0.031]``: a difference with its interval; never ``-0.000``."""
    return f"{value:+z.3f} [{low:+z.3f}, {high:+z.3f}]"


def format_column(cells: Sequence[str], *, has_own_digits: bool = False) -> list[str]:
    """A column of a CSV file as text to show.

    Whole numbers stay as they are. Other numbers have the decimals that give the column's largest
    three significant digits, so that they can be compared; one more where its median needs it. A
    column with a cell that is no number is text: ``007`` is a name.

    Args:
        cells: as they stand in the file.
        has_own_digits: whether each number has three digits of its own, as learning rates do.
    """
    known = _known(cells)
    if not is_numeric(cells):
        return [_WORDS.get(cell, cell) for cell in cells]
    if all(_WHOLE.fullmatch(cell) for cell in known):
        return [_WORDS.get(cell, cell) for cell in cells]
    values = [abs(float(cell)) for cell in known if float(cell) != 0]
    if not values:
        return [_WORDS.get(cell, "0") for cell in cells]
    if has_own_digits:
        return [_WORDS.get(cell) or f"{float(cell):.{_DIGITS}g}" for cell in cells]
    decimals = _decimals(values)
    return [_WORDS.get(cell) or _fixed(float(cell), decimals) for cell in cells]


def is_numeric(cells: Sequence[str]) -> bool:
    """Whether all cells of a column that are not empty are numbers."""
    known = _known(cells)
    return bool(known) and all(_NUMBER.fullmatch(cell) for cell in known)


def _known(cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells if _WORDS.get(cell) != MISSING]


def _decimals(values: Sequence[float]) -> int:
    """Decimals that give the largest three significant digits, and the median two if they can."""
    for_largest = _DIGITS - 1 - math.floor(math.log10(max(values)))
    for_median = _DIGITS - 2 - math.floor(math.log10(sorted(values)[len(values) // 2]))
    wanted = max(for_largest, min(for_median, for_largest + 1))
    return min(max(wanted, 0), _MOST_DECIMALS)


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text
