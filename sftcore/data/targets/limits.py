"""What targets must show before anything can be learnt from them."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from sftcore.data.audit import Refusal, listing
from sftcore.data.kinds import Names
from sftcore.data.targets.target import TargetKind, Value
from sftcore.foundations.errors import DataError


def check_targets(
    kind: TargetKind,
    values: Sequence[Value],
    wanted: Sequence[str],
    refusals: Sequence[Refusal],
    *,
    least: int,
    names: Names,
) -> None:
    """Stop where a class or label is too rare, or a label or number never or hardly changes.

    Args:
        kind: of the target.
        values: of the examples that are used.
        wanted: names of the classes, labels or numbers that the source has.
        refusals: of the other examples, for the message.
        least: examples that a class must have, or that must have a label and lack it
            (``data.min_per_class``).
        names: of the kind of examples.

    Raises:
        DataError: names what is too rare or constant, and says what to do.
    """
    if not values:
        raise DataError(f"no {names.noun} is left to use{listing(refusals)}")
    if kind == "answers":
        return
    if kind == "numbers":
        _check_numbers(values, wanted, names)
        return
    if not wanted:
        raise DataError(f"no {names.noun} has a label: nothing can be learnt")
    found = _count(values)
    what, ending = ("label", "s") if kind == "labels" else ("class", "es")
    small = {name: found[name] for name in sorted(wanted) if found[name] < least}
    if small:
        raise DataError(
            f"{len(small)} {what}{ending * (len(small) > 1)} with fewer than "
            f"data.min_per_class {least} usable {names.plural}: "
            + ", ".join(f"{name} ({count})" for name, count in small.items())
            + f". Add {names.plural}, remove the {what}, or lower the limit{listing(refusals)}"
        )
    if kind == "labels":
        _check_absence(found, len(values), sorted(wanted), least, names)


def _count(values: Sequence[Value]) -> Counter[str]:
    """Examples of each class or label."""
    lists = ([value] if isinstance(value, str) else map(str, value) for value in values)
    return Counter(name for names in lists for name in names)


def _check_absence(
    found: Counter[str], num_all: int, wanted: Sequence[str], least: int, names: Names
) -> None:
    """A label that nearly all have cannot be told from its absence."""
    constant = [name for name in wanted if found[name] == num_all]
    if constant:
        raise DataError(
            f"every {names.noun} has the label{'s' * (len(constant) > 1)} {', '.join(constant)}: "
            "nothing can be learnt of what never changes. Remove it, or add examples without it"
        )
    common = {name: num_all - found[name] for name in wanted if num_all - found[name] < least}
    if common:
        raise DataError(
            f"{len(common)} label{'s' * (len(common) > 1)} that fewer than data.min_per_class "
            f"{least} usable {names.plural} lack: "
            + ", ".join(f"{name} ({count})" for name, count in common.items())
            + f". Add {names.plural} without it, remove the label, or lower the limit"
        )


def _check_numbers(values: Sequence[Value], wanted: Sequence[str], names: Names) -> None:
    for place, name in enumerate(wanted):
        if all(first[place] == second[place] for first, second in pairwise(values)):
            raise DataError(
                f"{name} is {values[0][place]} for every {names.noun}: nothing can be learnt of a "
                "number that never changes. Take it out of data.targets.columns"
            )
