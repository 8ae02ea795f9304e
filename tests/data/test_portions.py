"""Parts of the data: in proportion, near-duplicates together, the test split untouched."""

import numpy as np
import pandas as pd
import pytest

from sftcore.data.portions import SHIPPED, Parts, Portion, take_portion
from sftcore.foundations.errors import DataError


@pytest.fixture
def samples() -> pd.DataFrame:
    """240 pictures: 120, 80 and 40 of three classes, in groups of one to three."""
    labels = np.repeat(["a", "b", "c"], [120, 80, 40])
    groups = [f"{label}{i // (1 + i % 3)}" for label, i in zip(labels, range(240), strict=True)]
    splits = np.where(np.arange(240) % 5 == 0, "val", "train")
    splits[np.arange(240) % 11 == 0] = "test"
    table = pd.DataFrame({"row": range(240), "label": labels, "group": groups, "split": splits})
    # A group lies in one split.
    table["split"] = table.groupby("group")["split"].transform("first")
    return table


def replicate(number: int, fraction: float = 1.0) -> Portion:
    return Portion(number, judge_fraction=0.2, choose_fraction=0.15, fraction=fraction)


def as_lists(parts: Parts) -> list[list[int]]:
    return [parts.train.tolist(), parts.val.tolist(), parts.judge.tolist()]


def test_the_whole_is_the_splits_and_has_no_judge(samples: pd.DataFrame) -> None:
    parts = take_portion(samples, Portion(), 0)
    assert parts.train.tolist() == samples["row"][samples["split"] == "train"].tolist()
    assert parts.val.tolist() == samples["row"][samples["split"] == "val"].tolist()
    assert parts.judge.size == 0
    assert Portion().replicate == SHIPPED
    assert Portion().title == ""
    assert replicate(3, 0.5).title == "replicate 3, 50% of the pictures"


@pytest.mark.parametrize("number", [0, 1, 7, 1000])
def test_a_replicate_is_a_partition_of_what_is_not_the_test_split(
    samples: pd.DataFrame, number: int
) -> None:
    parts = take_portion(samples, replicate(number), 0)
    pool = samples["row"][samples["split"] != "test"].tolist()
    assert sorted(row for rows in as_lists(parts) for row in rows) == pool
    for rows in as_lists(parts):
        assert rows == sorted(rows)
        assert set(samples.loc[rows, "label"]) == {"a", "b", "c"}
    groups = [set(samples.loc[rows, "group"]) for rows in as_lists(parts)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test_replicates_have_the_parts_asked_for_in_every_class(samples: pd.DataFrame) -> None:
    """In expectation: over forty draws each class gives each part its share."""
    found = [take_portion(samples, replicate(number), 0) for number in range(40)]
    whole = samples[samples["split"] != "test"]["label"].value_counts()
    for name, wanted in (("judge", 0.2), ("val", 0.15), ("train", 0.65)):
        for label in "abc":
            parts = [samples.loc[getattr(p, name), "label"].eq(label).sum() for p in found]
            assert np.mean(parts) / whole[label] == pytest.approx(wanted, abs=0.06), (name, label)


def test_all_seeds_of_a_replicate_see_the_same_pictures(samples: pd.DataFrame) -> None:
    first = as_lists(take_portion(samples, replicate(4), 0))
    assert all(as_lists(take_portion(samples, replicate(4), seed)) == first for seed in (0, 1, 99))


def test_replicates_differ_in_every_part(samples: pd.DataFrame) -> None:
    drawn = [as_lists(take_portion(samples, replicate(number), 0)) for number in range(8)]
    for part in range(3):
        assert len({tuple(parts[part]) for parts in drawn}) == 8


def test_where_a_picture_lay_in_the_shipped_splits_does_not_matter(samples: pd.DataFrame) -> None:
    swapped = samples.replace({"split": {"train": "val", "val": "train"}})
    for number in range(3):
        assert as_lists(take_portion(samples, replicate(number), 0)) == as_lists(
            take_portion(swapped, replicate(number), 0)
        )


@pytest.mark.parametrize("whole", [Portion(), replicate(0), replicate(1000)])
@pytest.mark.parametrize("seed", range(3))
def test_subsets_are_nested_grouped_and_in_proportion(
    samples: pd.DataFrame, whole: Portion, seed: int
) -> None:
    def take(fraction: float) -> Parts:
        changed = Portion(whole.replicate, whole.judge_fraction, whole.choose_fraction, fraction)
        return take_portion(samples, changed, seed)

    all_of_it = take(1.0)
    before: set[int] = set()
    for fraction in (0.05, 0.25, 0.5, 0.75):
        parts = take(fraction)
        rows = parts.train
        assert as_lists(parts)[1:] == as_lists(all_of_it)[1:]  # who chooses and who judges
        assert before <= set(rows.tolist()) < set(all_of_it.train.tolist())
        before = set(rows.tolist())
        counts = samples.loc[rows, "label"].value_counts()
        total = samples.loc[all_of_it.train, "label"].value_counts()
        for label in "abc":
            wanted = max(1, round(fraction * total[label]))
            assert wanted <= counts[label] <= wanted + 2  # the last group is taken whole
        left_out = sorted(set(all_of_it.train.tolist()) - before)
        assert not set(samples.loc[rows, "group"]) & set(samples.loc[left_out, "group"])
        assert as_lists(take(fraction)) == as_lists(parts)


def test_seeds_draw_different_subsets(samples: pd.DataFrame) -> None:
    for whole in (Portion(fraction=0.3), replicate(2, 0.3)):
        drawn = {tuple(take_portion(samples, whole, seed).train) for seed in range(6)}
        assert len(drawn) == 6


def test_a_class_that_cannot_fill_three_parts_is_refused(samples: pd.DataFrame) -> None:
    few = samples[(samples["label"] != "c") | (samples["row"] < 203)].copy()
    few.loc[few["label"] == "c", ["group", "split"]] = ["one group", "train"]
    with pytest.raises(DataError, match="c"):
        take_portion(few, replicate(0), 0)
