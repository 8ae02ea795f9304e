"""Which columns of a table hold the target."""

from collections.abc import Sequence

from sftcore.data.targets.target import Target
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

# In the prepared table these are the example's own.
RESERVED = ("row", "id", "label", "label_index", "split", "sha256", "group", "stratum")
_USUAL = {"labels": ("labels", "tags"), "numbers": ("target", "value", "y")}


class MissingColumn(DataError):
    """A table has no column for the examples, or none for their targets."""


class UnclearColumn(DataError):
    """Several columns of a table could be the one that is looked for."""


def target_columns(target: Target, names: Sequence[str], place: str) -> dict[str, str]:
    """The columns of labels or numbers.

    Args:
        target: not of the kind ``class``.
        names: all columns of the table.
        place: what messages call the table.

    Returns:
        The table's own spelling of each column by the name of the target, in order.

    Raises:
        MissingColumn: the table lacks one.
        UnclearColumn: several could be meant.
        DataError: one is named twice, or has a name of our own.
    """
    there = {name.strip().lower(): name for name in reversed(names)}
    usual = _USUAL[target.kind]
    wanted = list(target.columns) or [name for name in usual if name in there]
    if not target.columns and len(wanted) > 1:
        raise UnclearColumn(
            f"{place}: the columns {', '.join(wanted)} could each be the {target.kind}. Name the "
            "one that is meant in data.targets.columns"
        )
    missing = [n for n in wanted if n not in names and n.strip().lower() not in there]
    if missing or not wanted:
        lacking = ", ".join(missing) or f"{' or '.join(usual)} for the {target.kind}"
        raise MissingColumn(
            f"{place} lacks the column{'s' * (len(missing) > 1)} {lacking}; it has "
            f"{', '.join(names)}. Name those that are meant in data.targets.columns"
        )
    lower = [name.strip().lower() for name in wanted]
    if len(set(lower)) < len(lower):
        raise DataError(f"data.targets.columns: {', '.join(wanted)} names a column twice")
    taken = [name for name in wanted if name.strip().lower() in RESERVED]
    if target.kind == "numbers" and taken:
        raise DataError(
            f"{place}: numbers cannot be called {', '.join(taken)}, as the prepared table has such "
            "a column of its own: rename the column"
        )
    return {
        printable(name): name if name in names else there[name.strip().lower()] for name in wanted
    }
