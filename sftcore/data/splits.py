"""Train, validation and test: stratified, grouped, and decided by content.

A group of near-duplicates goes where the hash of its smallest sha256 says. So adding a picture
moves no other, but for two cases: if it joins a group and becomes that group's smallest, or joins
two groups into one, they may move; and if a small class had to be given a picture in a split that
it would have missed, a new picture there lets that one go back.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sftcore.errors import DataError
from sftcore.randomness import derive_seed

SPLIT_ORDER = ("train", "val", "test")
_TOP = 2.0**63


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
) -> list[str]:
    """A split for every row.

    A group's number u in [0, 1) is a hash of the seed and its leader: test below
    ``test_fraction``, validation in the ``val_fraction`` after it, else train. Every class has the
    same chances, so it is stratified in expectation; a class that would miss a split gives it its
    group nearest to that split's range. Where the source names splits, they are kept, and only a
    missing validation split is taken from train; pictures named train are never tested on.

    Args:
        labels: N class names.
        leaders: N sha256, equal within a group; see :func:`group_leaders`.
        given: N splits as the source names them, empty where it names none.
        seed: another number draws another split.
        val_fraction: wanted part for validation, of the whole.
        test_fraction: wanted part for test, of the whole.

    Raises:
        DataError: a class has too few groups for the splits to fill, or none to train on.
    """
    has_given = {name for name in given if name}
    bounds = {"test": (0.0, test_fraction), "val": (test_fraction, test_fraction + val_fraction)}
    if "test" in has_given:
        bounds = {"val": (0.0, val_fraction / (1 - test_fraction))}
    if "val" in has_given:
        bounds.pop("val")
    free = [not name or (name == "train" and "val" not in has_given) for name in given]
    position = {leader: derive_seed(seed, "split", leader) / _TOP for leader in set(leaders)}
    chosen = {leader: _place(u, bounds) for leader, u in position.items()}
    untested = {leader for leader, name in zip(leaders, given, strict=True) if name == "train"}
    chosen |= {leader: "train" for leader in untested if chosen[leader] == "test"}
    _fill_empty(chosen, position, bounds, labels, leaders, free, untested)
    splits = [
        chosen[leader] if is_free else name
        for leader, is_free, name in zip(leaders, free, given, strict=True)
    ]
    require_training(labels, splits)
    return splits


def require_training(labels: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse splits that leave a class without a picture to learn from.

    Raises:
        DataError: names the classes.
    """
    trained = {label for label, name in zip(labels, splits, strict=True) if name == "train"}
    if missing := sorted(set(labels) - trained):
        raise DataError(
            f"no picture to train on in class{'es' * (len(missing) > 1)} {', '.join(missing)}: "
            "give some of its pictures the split train, or remove the class"
        )


def _place(u: float, bounds: dict[str, tuple[float, float]]) -> str:
    inside = [name for name, (low, high) in bounds.items() if low <= u < high]
    return inside[0] if inside else "train"


def _fill_empty(
    chosen: dict[str, str],
    position: dict[str, float],
    bounds: dict[str, tuple[float, float]],
    labels: Sequence[str],
    leaders: Sequence[str],
    free: Sequence[bool],
    untested: set[str],
) -> None:
    """Give every class at least one group in every split that is decided here."""
    of_class: dict[str, set[str]] = defaultdict(set)
    classes_of: dict[str, set[str]] = defaultdict(set)
    for label, leader, is_free in zip(labels, leaders, free, strict=True):
        if is_free:
            of_class[label].add(leader)
            classes_of[leader].add(label)

    def is_spare(leader: str) -> bool:
        """Whether each of its classes has another group where this one is."""
        here = chosen[leader]
        return all(
            any(chosen[other] == here for other in of_class[label] if other != leader)
            for label in classes_of[leader]
        )

    ranges = bounds | {"train": (max(high for _, high in bounds.values()), 1.0)} if bounds else {}
    for label, members in sorted(of_class.items()):
        if len(members) < len(ranges):
            raise DataError(
                f"class {label!r} has {len(members)} picture{'s' * (len(members) > 1)} that differ "
                f"from each other and needs {len(ranges)}, one for each of {', '.join(ranges)}: "
                "add pictures, remove the class, or lower data.near_duplicate_distance"
            )
        for name, (low, high) in ranges.items():
            if any(chosen[leader] == name for leader in members):
                continue
            barred = untested if name == "test" else set()
            spare = [leader for leader in members - barred if is_spare(leader)]
            if not spare:
                raise DataError(
                    f"class {label!r} has no picture for {name} and none to spare: its "
                    f"{len(members)} groups of near-duplicates are named train by the source or "
                    "shared with other classes. Add pictures or remove the class"
                )
            nearest = min(
                spare,
                key=lambda leader: (max(low - position[leader], position[leader] - high), leader),
            )
            chosen[nearest] = name


def crossing_rows(splits: Sequence[str], leaders: Sequence[str]) -> np.ndarray:
    """Rows to leave out because the source put near-duplicates into several splits.

    The test side stays; then validation before train.

    Returns:
        Row numbers, ascending.
    """
    rank = {"test": 0, "val": 1, "train": 2}
    best: dict[str, int] = {}
    for split, leader in zip(splits, leaders, strict=True):
        best[leader] = min(best.get(leader, 3), rank[split])
    crossing = [
        row
        for row, (split, leader) in enumerate(zip(splits, leaders, strict=True))
        if rank[split] > best[leader]
    ]
    return np.array(crossing, dtype=np.int64)
