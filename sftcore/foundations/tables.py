"""Text from anywhere in tables: one line, and safe to open in a spreadsheet."""

import pandas as pd

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def safe_cells(table: pd.DataFrame) -> pd.DataFrame:
    """A copy in which no text cell or column name starts like a formula.

    A class or a file may be named ``=cmd|...``; a spreadsheet would run it. Such text gets an
    apostrophe in front (OWASP, CSV injection).
    """
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [_defuse(value) for value in safe[name]]
    return safe.rename(columns={name: _defuse(name) for name in safe.columns})


def _defuse(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else value


def printable(name: str) -> str:
    """A name that fits into a line of UTF-8: other bytes and control characters as ``\\xNN``.

    Args:
        name: of a file, as the system gives it.
    """
    if name.isascii() and name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(f"\\x{ord(c):02x}" if ord(c) < 32 else c for c in text)
