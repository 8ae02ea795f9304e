"""Strata: the groups of examples that each split gets its share of.

For classes they are the classes. For labels they are the sets of labels that occur often enough;
the others fall together by the rarest label in them, the first step of iterative stratification
(Sechidis, Tsoumakas and Vlahavas, 2011). For numbers they are the tenths of the first number: the
first named is the one to be balanced, since a sum of several may cancel. Answers are of one
stratum. Near-duplicates with different targets are in one stratum, so that no group has to serve
two.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from sftcore.data.targets.target import TargetKind, Value, value_text

NUM_BINS = 10
LEAST_GROUPS = 3  # one for each split


def strata(
    kind: TargetKind, values: Sequence[Value], leaders: Sequence[str], movable: Collection[str]
) -> list[str]:
    """The stratum of every row.

    Args:
        kind: of the target.
        values: N targets.
        leaders: N names, equal within a group of near-duplicates.
        movable: groups that can go into any split; a stratum of labels or numbers has at least
            three of these, where there are so many.

    Returns:
        N names. For classes these are the values themselves.
    """
    if kind == "class":
        return [value_text(value) for value in values]
    if kind == "answers":
        return ["all"] * len(values)
    if kind == "numbers":
        found = _of_groups(_bins([float(value[0]) for value in values]), leaders)
    else:
        sets = [tuple(str(label) for label in value) for value in values]
        found = _by_rarest(sets, leaders, movable)
    return merge_small(found, leaders, movable)


def merge_small(
    names: Sequence[str], leaders: Sequence[str], movable: Collection[str] | None = None
) -> list[str]:
    """Join strata of fewer than three groups with the next in the order of their names.

    The last ones join the one before. What is joined is called ``<first> to <last>``.

    Args:
        names: of N rows' strata.
        leaders: N names, equal within a group.
        movable: groups that count; all without.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for name, leader in zip(names, leaders, strict=True):
        groups[name] |= {leader} if movable is None or leader in movable else set()
    joined: list[list[str]] = []
    counted: set[str] = set()
    waiting: list[str] = []
    for name in sorted(groups):
        waiting.append(name)
        counted |= groups[name]
        if len(counted) >= LEAST_GROUPS:
            joined.append(waiting)
            waiting, counted = [], set()
    if waiting:
        joined = [*joined[:-1], [*(joined[-1] if joined else []), *waiting]]
    title = {
        name: members[0] if len(members) == 1 else f"{members[0]} to {members[-1]}"
        for members in joined
        for name in members
    }
    return [title[name] for name in names]


def _bins(numbers: Sequence[float]) -> list[str]:
    """The tenth of every number, by rank; equal numbers are in one, so some may be empty."""
    ordered = sorted(numbers)
    edges = [ordered[len(ordered) * number // NUM_BINS] for number in range(1, NUM_BINS)]
    return [f"{bisect_right(edges, number):02d}" for number in numbers]


def _by_rarest(
    sets: Sequence[tuple[str, ...]], leaders: Sequence[str], movable: Collection[str]
) -> list[str]:
    """Sets with enough groups by themselves, the others by their rarest label."""
    by_set = _of_groups([value_text(labels) for labels in sets], leaders)
    groups: Mapping[str, set[str]] = defaultdict(set)
    for name, leader in zip(by_set, leaders, strict=True):
        groups[name] |= {leader} if leader in movable else set()
    frequency = Counter(label for labels in sets for label in labels)

    def rarest(labels: tuple[str, ...]) -> str:
        if not labels:
            return value_text(labels)
        label = min(labels, key=lambda label: (frequency[label], label))
        return f"{value_text((label,))[:-1]}, ...]"

    return _of_groups(
        [
            name if len(groups[name]) >= LEAST_GROUPS else rarest(labels)
            for name, labels in zip(by_set, sets, strict=True)
        ],
        leaders,
    )


def _of_groups(names: Sequence[str], leaders: Sequence[str]) -> list[str]:
    """For each row the commonest name in its group; of equally common ones the first by name."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, leader in zip(names, leaders, strict=True):
        counts[leader][name] += 1
    chosen = {
        leader: min(of_group, key=lambda name: (-of_group[name], name))
        for leader, of_group in counts.items()
    }
    return [chosen[leader] for leader in leaders]
