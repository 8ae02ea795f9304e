"""Strata: each split gets its share of each, near-duplicates stay whole, small ones are joined."""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.data.portions import Portion, take_portion
from sftcore.data.splits import assign_splits, movable_groups
from sftcore.data.targets.strata import LEAST_GROUPS, merge_small, strata
from sftcore.data.targets.target import Value
from sftcore.foundations.artifacts import sha256_bytes


def sha(number: int) -> str:
    return sha256_bytes(str(number).encode())


SETS = st.lists(st.sampled_from("abcdef"), max_size=4).map(lambda s: tuple(sorted(set(s))))
NUMBERS = st.tuples(st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6))


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, list[Value], list[str], list[str]]:
    """Kind, targets, leaders and the source's own splits; a group has one or several rows."""
    kind = draw(st.sampled_from(("labels", "numbers")))
    count = draw(st.integers(4, 60))
    values = draw(st.lists(SETS if kind == "labels" else NUMBERS, min_size=count, max_size=count))
    sizes = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    leaders = [sha(g) for g, size in enumerate(sizes) for _ in range(size)][:count]
    named = draw(st.sampled_from(([""], ["train", "test"], ["", "val"], ["", "train"],
                                  ["train", "val", "test"], ["", "test"])))  # fmt: skip
    of_group = {leader: draw(st.sampled_from(named)) for leader in sorted(set(leaders))}
    return kind, values, leaders, [of_group[leader] for leader in leaders]


@settings(max_examples=300, deadline=None)
@given(rows())
def test_strata_can_always_be_split(case: tuple[str, list[Value], list[str], list[str]]) -> None:
    kind, values, leaders, given_splits = case
    movable = movable_groups(leaders, given_splits)
    if len(movable) < LEAST_GROUPS or set(given_splits) & {"test", "val"} == set(given_splits):
        return  # of so few groups no three splits can be made
    names = strata(kind, values, leaders, movable)
    of_group: dict[str, set[str]] = defaultdict(set)
    for name, leader in zip(names, leaders, strict=True):
        of_group[leader].add(name)
    assert {len(found) for found in of_group.values()} == {1}
    counts = Counter(of_group[leader].copy().pop() for leader in movable)
    assert set(counts) == set(names)
    assert min(counts.values()) >= LEAST_GROUPS
    splits = assign_splits(
        names, leaders, given_splits, seed=0, val_fraction=0.2, test_fraction=0.2
    )
    trained = {name for name, split in zip(names, splits, strict=True) if split == "train"}
    assert trained == set(names)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(("labels", "numbers")))
def test_each_split_has_its_share_of_each_stratum_within_a_group(seed: int, kind: str) -> None:
    stream = np.random.default_rng(seed)
    values: list[Value] = [(float(n),) for n in stream.normal(size=120).round(1)]
    if kind == "labels":
        values = [tuple(label for label in "abcd" if stream.random() < 0.3) for _ in values]
    leaders = [sha(g) for g in range(80) for _ in range(1 + g % 2)][:120]
    names = strata(kind, values, leaders, set(leaders))
    splits = assign_splits(names, leaders, [""] * 120, seed=seed, val_fraction=0.2,
                           test_fraction=0.2)  # fmt: skip
    total, of_split = Counter(names), Counter(zip(names, splits, strict=True))
    for name in total:
        for split, part in (("test", 0.2), ("val", 0.2), ("train", 0.6)):
            assert abs(of_split[name, split] - part * total[name]) <= 2, "the largest group"
            assert of_split[name, split] > 0


def test_the_strata_of_classes_are_the_classes() -> None:
    assert strata("class", ["b", "a", "b"], ["x", "x", "y"], set()) == ["b", "a", "b"]


def test_numbers_are_cut_at_their_deciles() -> None:
    numbers = np.random.default_rng(0).normal(size=1000)
    leaders = [sha(i) for i in range(1000)]
    found = strata("numbers", [(n, -n) for n in numbers.tolist()], leaders, set(leaders))
    edges = np.quantile(numbers, np.arange(1, 10) / 10, method="inverted_cdf")
    wanted = np.searchsorted(edges, numbers, side="left")
    assert np.mean(np.array(found, dtype=int) == wanted) >= 0.99  # but for the edges themselves
    assert set(Counter(found).values()) == {100}
    few = strata("numbers", [(float(n % 3),) for n in range(90)], leaders[:90], set(leaders[:90]))
    assert sorted(Counter(few).values()) == [30, 30, 30], "equal numbers stay together"


def test_rare_sets_fall_together_by_their_rarest_label() -> None:
    sets: list[Value] = [("a",)] * 20 + [("b",)] * 10 + [()] * 5
    sets += [("a", "c"), ("b", "c"), ("a", "b", "c"), ("c",)] + [("a", "b")] * 2
    leaders = [sha(i) for i in range(len(sets))]
    found = strata("labels", sets, leaders, set(leaders))
    assert len(set(found[:20])) == len(set(found[20:30])) == len(set(found[30:35])) == 1
    assert len(set(found[35:39])) == 1, "all with c, of which there are fewest"
    assert Counter(found)[found[0]] == 20
    assert min(Counter(found).values()) >= LEAST_GROUPS


def test_small_strata_join_their_neighbour() -> None:
    names = ["a"] * 3 + ["b"] + ["c"] * 2 + ["d"] * 4 + ["e"]
    leaders = [sha(i) for i in range(len(names))]
    joined = merge_small(names, leaders)
    assert joined == ["a"] * 3 + ["b to c"] * 3 + ["d to e"] * 5
    assert merge_small(["a", "b"], ["x", "y"]) == ["a to b"] * 2
    assert merge_small(names, ["one"] * len(names)) == ["a to e"] * len(names)


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_replicates_and_subsets_use_the_strata(kind: str) -> None:
    stream = np.random.default_rng(1)
    count = 150
    values: list[Value] = [(float(n),) for n in stream.normal(size=count)]
    if kind == "labels":
        values = [tuple(label for label in "abc" if stream.random() < 0.2) for _ in range(count)]
    leaders = [sha(i // 2)[:12] for i in range(count)]
    names = strata(kind, values, leaders, set(leaders))
    splits = assign_splits(names, leaders, [""] * count, seed=0, val_fraction=0.2,
                           test_fraction=0.2)  # fmt: skip
    samples = pd.DataFrame({"row": range(count), "stratum": names, "group": leaders,
                            "split": splits})  # fmt: skip
    pool = samples[samples["split"] != "test"]
    for number in range(20):
        parts = take_portion(pool, Portion(number, 0.2, 0.2), 0)
        rows_of = [part.tolist() for part in (parts.train, parts.val, parts.judge)]
        assert sorted(row for part in rows_of for row in part) == pool["row"].tolist()
        groups = [set(samples.loc[part, "group"]) for part in rows_of]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        assert min(map(len, rows_of)) >= 0.1 * len(pool)
    half = take_portion(pool, Portion(fraction=0.5), 0).train
    train = samples[samples["split"] == "train"]
    for name, members in train.groupby("stratum"):
        taken = len(set(half) & set(members["row"]))
        assert round(len(members) / 2) <= taken <= round(len(members) / 2) + 1, name
