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
    """Stop where a class or label is too rare, or where a label or number never changes.

    Args:
        kind: of the target.
        values: of the examples that are used.
        wanted: names of the classes, labels or numbers that the source has.
        refusals: of the other examples, for the message.
        least: examples that a class or label must have (``data.min_pictures_per_class``).
        names: of the kind of examples.

    Raises:
        DataError: names what is too rare or constant, and says what to do.
    """
    if not values:
        raise DataError(f"no {names.noun} is left to use{listing(refusals)}")
    if kind == "numbers":
        _check_numbers(values, wanted, names)
        return
    if not wanted:
        raise DataError(f"no {names.noun} has a label: nothing can be learnt")
    found = _count(values)
    what, ending = ("class", "es") if kind == "class" else ("label", "s")
    small = {name: found[name] for name in sorted(wanted) if found[name] < least}
    if small:
        raise DataError(
            f"{len(small)} {what}{ending * (len(small) > 1)} with fewer than "
            f"data.min_pictures_per_class {least} usable {names.plural}: "
            + ", ".join(f"{name} ({count})" for name, count in small.items())
            + f". Add {names.plural}, remove the {what}, or lower the limit{listing(refusals)}"
        )
    constant = [name for name in sorted(wanted) if found[name] == len(values)]
    if kind == "labels" and constant:
        raise DataError(
            f"every {names.noun} has the label{'s' * (len(constant) > 1)} {', '.join(constant)}: "
            "nothing can be learnt of what never changes. Remove it, or add examples without it"
        )


def _count(values: Sequence[Value]) -> Counter[str]:
    """Examples of each class or label."""
    lists = ([value] if isinstance(value, str) else map(str, value) for value in values)
    return Counter(name for names in lists for name in names)


def _check_numbers(values: Sequence[Value], wanted: Sequence[str], names: Names) -> None:
    for place, name in enumerate(wanted):
        if all(first[place] == second[place] for first, second in pairwise(values)):
            raise DataError(
                f"{name} is {values[0][place]} for every {names.noun}: nothing can be learnt of a "
                "number that never changes. Take it out of data.columns"
            )
