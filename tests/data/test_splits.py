from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.data.splits import assign_splits, crossing_rows, group_leaders
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.errors import DataError


def sha(number: int) -> str:
    return sha256_bytes(str(number).encode())


def split(labels: list[str], leaders: list[str], given: list[str] | None = None, seed: int = 0):
    return assign_splits(
        labels, leaders, given or [""] * len(labels), seed=seed, val_fraction=0.2, test_fraction=0.2
    )


def by_leader(rows: list[tuple[str, str]], seed: int) -> dict[str, str]:
    splits = split([label for label, _ in rows], [leader for _, leader in rows], seed=seed)
    return dict(zip((leader for _, leader in rows), splits, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 150), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_a_new_picture_lets_at_most_one_group_of_its_class_cross_each_cut(
    n: int, seed: int, random: Random
) -> None:
    rows = [(f"class{i % 2}", sha(i)) for i in range(n)]
    before = by_leader(rows, seed)
    more = [*rows, ("class0", sha(10_000 + n))]
    random.shuffle(more)
    after = by_leader(more, seed)
    moved = [(before[key], after[key], key) for key in before if after[key] != before[key]]
    assert all(("class0", key) in rows for _, _, key in moved)
    # A cut lies between train and each other split: no group goes from one of these to the other.
    assert all("train" in (old, new) for old, new, _ in moved)
    for name in ("val", "test"):
        assert sum(name in (old, new) for old, new, _ in moved) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=20, max_size=120),
    st.integers(0, 1000),
)
def test_a_class_misses_its_parts_by_less_than_a_group(
    groups: list[tuple[int, int]], seed: int
) -> None:
    groups = [*groups, *((label, 1) for label in range(4) for _ in range(4))]
    rows = [(f"{label}", sha(i)) for i, (label, size) in enumerate(groups) for _ in range(size)]
    splits = split(*map(list, zip(*rows, strict=True)), seed=seed)
    for label in range(4):
        counts = Counter(s for s, row in zip(splits, rows, strict=True) if row[0] == f"{label}")
        largest = max(size for other, size in groups if other == label)
        for name in ("val", "test"):
            assert abs(counts[name] - 0.2 * counts.total()) <= max(1, 0.63 * largest)
        assert set(counts) == {"train", "val", "test"}


def test_pictures_of_small_classes_are_cut_to_the_picture() -> None:
    for seed in range(50):
        for size in (20, 23, 28):
            counts = Counter(split(["a"] * size, [sha(i) for i in range(size)], seed=seed))
            assert counts["val"] == counts["test"] == round(0.2 * size)


@pytest.mark.parametrize("seed", range(10))
def test_groups_of_several_classes_leave_the_parts_close(seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 80, 200)
    labels = [f"class{i % 2}" for i in range(200)]
    splits = split(labels, group_leaders([sha(i) for i in range(200)], groups), seed=seed)
    for name in ("class0", "class1"):
        counts = Counter(s for s, label in zip(splits, labels, strict=True) if label == name)
        assert abs(counts["test"] / counts.total() - 0.2) < 0.05
        assert abs(counts["val"] / counts.total() - 0.2) < 0.05


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=60, max_size=120))
def test_groups_never_cross(groups: list[int]) -> None:
    shas = [sha(i) for i in range(len(groups))]
    leaders = group_leaders(shas, np.array(groups))
    if len(set(leaders)) < 3:
        return
    splits = split(["a"] * len(groups), leaders)
    for group in set(groups):
        assert len({s for s, g in zip(splits, groups, strict=True) if g == group}) == 1


def test_another_seed_draws_another_split() -> None:
    shas = [sha(i) for i in range(50)]
    assert split(["a"] * 50, shas) != split(["a"] * 50, shas, seed=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 12))
def test_a_small_class_has_a_picture_in_every_split(seed: int, size: int) -> None:
    splits = split(["small"] * size, [sha(i) for i in range(size)], seed=seed)
    assert set(splits) == {"train", "val", "test"}


def test_too_few_different_pictures_is_an_error() -> None:
    with pytest.raises(DataError, match="class 'few' has 2 pictures that differ"):
        split(["few"] * 4, [sha(0), sha(0), sha(1), sha(1)])


def test_given_splits_are_kept_and_validation_comes_from_train() -> None:
    n = 400
    given = ["test" if i < 100 else "train" for i in range(n)]
    splits = split(["a"] * n, [sha(i) for i in range(n)], given)
    assert splits[:100] == ["test"] * 100
    assert set(splits[100:]) == {"train", "val"}
    complete = ["train"] * 200 + ["val"] * 100 + ["test"] * 100
    assert split(["a"] * n, [sha(i) for i in range(n)], complete) == complete


def test_crossing_rows_leave_the_test_side() -> None:
    rows = crossing_rows(["train", "test", "test", "val", "train"], ["g", "g", "g", "h", "h"])
    assert rows == {0: 1, 4: 3}
