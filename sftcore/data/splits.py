"""Train, validation and test: stratified, grouped, and decided by content.

Near-duplicates are one group, and a group is never torn. The groups of one class stand in an order
that the hash of the seed and of each group's smallest sha256 gives. Test is cut from the front of
that order and validation from its back, where the sum of examples comes nearest to the wanted part,
so a class misses its parts by less than one group. A new example lets at most one group of its
class cross each of the two cuts, into train or out of it. An example that joins a group and becomes
its smallest sha256 moves that group to another place of the order.

Groups that hold examples of several classes are cut first, among those of the same classes, and
what they bring counts for each class; such classes come close to their parts. A class that would
miss a split altogether is given its nearest group.

What is said of classes holds for all strata; see :mod:`sftcore.data.targets.strata`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sftcore.foundations.errors import DataError
from sftcore.foundations.randomness import derive_seed

SPLIT_ORDER = ("train", "val", "test")


def group_leaders(sha256s: Sequence[str], groups: np.ndarray) -> list[str]:
    """The smallest sha256 of each row's group."""
    smallest: dict[int, str] = {}
    for sha256, group in zip(sha256s, groups.tolist(), strict=True):
        smallest[group] = min(smallest.get(group, sha256), sha256)
    return [smallest[group] for group in groups.tolist()]


def assign_splits(
    labels: Sequence[str],
    leaders: Sequence[str],
    given: Sequence[str],
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float,
    noun: str = "picture",
) -> list[str]:
    """A split for every row.

    Where the source names splits, they are kept, and only a missing validation split is taken from
    train; examples named train are never tested on. What is decided here is decided class by class,
    as the module says.

    Args:
        labels: N class names.
        leaders: N sha256, equal within a group; see :func:`group_leaders`.
        given: N splits as the source names them, empty where it names none.
        seed: another number draws another split.
        val_fraction: wanted part for validation, of the whole.
        test_fraction: wanted part for test, of the whole.
        noun: what an example is called in messages.

    Raises:
        DataError: a class has too few groups for the splits to fill, or none to train on.
    """
    has_given = {name for name in given if name}
    parts = {"test": test_fraction, "val": val_fraction}
    if "test" in has_given:
        parts = {"val": val_fraction / (1 - test_fraction)}
    if "val" in has_given:
        parts.pop("val")
    is_free = [not name or (name == "train" and "val" not in has_given) for name in given]
    sizes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for label, leader, free in zip(labels, leaders, is_free, strict=True):
        if free:
            sizes[leader][label] += 1
    untested = {leader for leader, name in zip(leaders, given, strict=True) if name == "train"}
    order = sorted(sizes, key=lambda leader: (derive_seed(seed, "split", leader), leader))
    chosen = _cut(order, sizes, parts, untested)
    _fill_empty(chosen, order, sizes, parts, untested, noun)
    splits = [
        chosen[leader] if free else name
        for leader, free, name in zip(leaders, is_free, given, strict=True)
    ]
    require_training(labels, splits, noun)
    return splits


def movable_groups(leaders: Sequence[str], given: Sequence[str]) -> set[str]:
    """The groups that may go into each of the splits that :func:`assign_splits` decides.

    Where the source names all splits, the groups that it trains on.

    Args:
        leaders: N names, equal within a group.
        given: N splits as the source names them, empty where it names none.
    """
    named = set(given)
    free = {"", "train"} - ({"train"} if "val" in named and "" in named else set())
    groups = {leader for leader, name in zip(leaders, given, strict=True) if name in free}
    if "test" in named:
        return groups
    return groups - {leader for leader, name in zip(leaders, given, strict=True) if name == "train"}


def require_training(labels: Sequence[str], splits: Sequence[str], noun: str = "picture") -> None:
    """Refuse splits that leave a class without an example to learn from.

    Raises:
        DataError: names the classes.
    """
    trained = {label for label, name in zip(labels, splits, strict=True) if name == "train"}
    if missing := sorted(set(labels) - trained):
        raise DataError(
            f"no {noun} to train on in class{'es' * (len(missing) > 1)} {', '.join(missing)}: "
            f"give some of its {noun}s the split train, or remove the class"
        )


def _cut(
    order: Sequence[str],
    sizes: Mapping[str, Mapping[str, int]],
    parts: Mapping[str, float],
    untested: set[str],
) -> dict[str, str]:
    """A split for every group.

    Args:
        order: leaders of the groups.
        sizes: examples of every class in every group.
        parts: wanted part of each split to decide, of the examples of a class.
        untested: groups that must not be tested on.
    """
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    totals: dict[str, int] = defaultdict(int)
    for leader in order:
        strata[tuple(sorted(sizes[leader]))].append(leader)
        for label, count in sizes[leader].items():
            totals[label] += count
    chosen = dict.fromkeys(order, "train")
    got: dict[tuple[str, str], int] = defaultdict(int)
    # Groups of several classes first, those of most classes at the very first.
    for labels, members in sorted(strata.items(), key=lambda item: (-len(item[0]), item[0])):
        total = sum(sum(sizes[leader].values()) for leader in members)
        had = dict.fromkeys(parts, 0)
        if len(labels) == 1:
            total, had = totals[labels[0]], {name: got[name, labels[0]] for name in parts}
        for leader, name in _cut_stratum(members, sizes, parts, total, had, untested).items():
            chosen[leader] = name
            for label, count in sizes[leader].items():
                got[name, label] += count
    return chosen


def _cut_stratum(
    members: Sequence[str],
    sizes: Mapping[str, Mapping[str, int]],
    parts: Mapping[str, float],
    total: int,
    had: Mapping[str, int],
    untested: set[str],
) -> dict[str, str]:
    """Those of the groups, in their order, that do not stay in train.

    Args:
        members: leaders of groups that hold the same classes.
        sizes: examples of every class in every group.
        parts: wanted part of each split to decide.
        total: examples of which these are parts.
        had: examples that each split has already.
        untested: groups that must not be tested on.
    """
    weight = {leader: sum(sizes[leader].values()) for leader in members}
    chosen: dict[str, str] = {}
    rest = 1.0
    for name, part in parts.items():
        left = [leader for leader in members if leader not in chosen]
        if name == "test":
            order = [leader for leader in left if leader not in untested]
        else:
            order = left[::-1]
        # A part of what the split before has left, so that a new example lets only one grow.
        taken = _take(order, weight, part / rest * total - had[name])
        chosen |= dict.fromkeys(taken, name)
        total -= had[name] + sum(weight[leader] for leader in taken)
        rest -= part
    return chosen


def _take(order: Iterable[str], weight: Mapping[str, int], wanted: float) -> list[str]:
    """The first groups, until their sum of examples is nearest to the wanted one.

    Groups of more than twice the wanted sum are passed over: nothing would be nearer than they.
    """
    taken, total = [], 0
    for leader in order:
        if weight[leader] > 2 * wanted:
            continue
        if total + weight[leader] / 2 > wanted:
            break
        taken.append(leader)
        total += weight[leader]
    return taken


def _fill_empty(
    chosen: dict[str, str],
    order: Sequence[str],
    sizes: Mapping[str, Mapping[str, int]],
    parts: Mapping[str, float],
    untested: set[str],
    noun: str,
) -> None:
    """Give every class at least one group in every split that is decided here."""
    of_class: dict[str, list[str]] = defaultdict(list)
    for leader in order:
        for label in sizes[leader]:
            of_class[label].append(leader)

    def is_spare(leader: str) -> bool:
        """Whether each of its classes has another group where this one is."""
        here = chosen[leader]
        return all(
            any(chosen[other] == here for other in of_class[label] if other != leader)
            for label in sizes[leader]
        )

    names = [*parts, "train"] if parts else []
    for label, members in sorted(of_class.items()):
        if len(members) < len(names):
            raise DataError(
                f"class {label!r} has {len(members)} {noun}{'s' * (len(members) > 1)} that differ "
                f"from each other and needs {len(names)}, one for each of {', '.join(names)}: "
                f"add {noun}s, remove the class, or lower data.near_duplicate_distance"
            )
        for name in names:
            if any(chosen[leader] == name for leader in members):
                continue
            barred = untested if name == "test" else set()
            spare = [leader for leader in members if leader not in barred and is_spare(leader)]
            if not spare:
                raise DataError(
                    f"class {label!r} has no {noun} for {name} and none to spare: its "
                    f"{len(members)} groups of near-duplicates are named train by the source or "
                    f"shared with other classes. Add {noun}s or remove the class"
                )
            least = min(sum(sizes[leader].values()) for leader in spare)
            small = [leader for leader in spare if sum(sizes[leader].values()) == least]
            # Test stands at the front of the order, validation at its back, train between.
            place = {"test": 0, "val": -1, "train": len(small) // 2}[name]
            chosen[small[place]] = name


def crossing_rows(splits: Sequence[str], leaders: Sequence[str]) -> dict[int, int]:
    """Rows to leave out because the source put near-duplicates into several splits.

    The test side stays whole; then validation before train.

    Returns:
        Row numbers, ascending, each with a row of its group that stays.
    """
    rank = {"test": 0, "val": 1, "train": 2}
    best: dict[str, int] = {}
    for row, leader in enumerate(leaders):
        kept = best.setdefault(leader, row)
        if rank[splits[row]] < rank[splits[kept]]:
            best[leader] = row
    return {
        row: best[leader]
        for row, leader in enumerate(leaders)
        if rank[splits[row]] > rank[splits[best[leader]]]
    }
