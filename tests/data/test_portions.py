"""Parts of the data: nested, in proportion, near-duplicates together, the test split untouched."""

import numpy as np
import pandas as pd
import pytest

from sftcore.data.portions import Portion, take_portion
from sftcore.errors import ParamsError


@pytest.fixture
def samples() -> pd.DataFrame:
    """120 pictures: 60, 40 and 20 of three classes, in groups of one to three."""
    labels = np.repeat(["a", "b", "c"], [60, 40, 20])
    groups = [f"{label}{i // (1 + i % 3)}" for label, i in zip(labels, range(120), strict=True)]
    splits = np.where(np.arange(120) % 5 == 0, "val", "train")
    splits[np.arange(120) % 11 == 0] = "test"
    table = pd.DataFrame({"row": range(120), "label": labels, "group": groups, "split": splits})
    # A group lies in one split.
    table["split"] = table.groupby("group")["split"].transform("first")
    return table


def test_the_whole_is_the_splits(samples: pd.DataFrame) -> None:
    train, val = take_portion(samples, Portion(), 0)
    assert train.tolist() == samples["row"][samples["split"] == "train"].tolist()
    assert val.tolist() == samples["row"][samples["split"] == "val"].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_subsets_are_nested_grouped_and_in_proportion(samples: pd.DataFrame, seed: int) -> None:
    train, val = take_portion(samples, Portion(), seed)
    before: set[int] = set()
    for fraction in (0.05, 0.25, 0.5, 0.75):
        rows, same_val = take_portion(samples, Portion(fraction), seed)
        assert same_val.tolist() == val.tolist()
        assert before <= set(rows.tolist()) <= set(train.tolist())
        before = set(rows.tolist())
        counts = samples.loc[rows, "label"].value_counts()
        whole = samples.loc[train, "label"].value_counts()
        for label in "abc":
            wanted = max(1, round(fraction * whole[label]))
            assert wanted <= counts[label] <= wanted + 2  # the last group is taken whole
        taken = samples.loc[rows, "group"]
        assert not set(taken) & set(samples.loc[sorted(set(train) - before), "group"])
    assert take_portion(samples, Portion(0.25), seed)[0].tolist() == (
        take_portion(samples, Portion(0.25), seed)[0].tolist()
    )


def test_seeds_draw_different_subsets(samples: pd.DataFrame) -> None:
    drawn = {tuple(take_portion(samples, Portion(0.3), seed)[0]) for seed in range(6)}
    assert len(drawn) == 6


def test_folds_are_a_partition_and_keep_groups_together(samples: pd.DataFrame) -> None:
    known = samples[samples["split"] != "test"]["row"].tolist()
    seen: list[int] = []
    for fold in range(4):
        train, val = take_portion(samples, Portion(num_folds=4, fold=fold), fold)
        assert sorted([*train, *val]) == known
        assert not set(samples.loc[train, "group"]) & set(samples.loc[val, "group"])
        assert set(samples.loc[val, "label"]) == {"a", "b", "c"}
        seen += val.tolist()
    assert sorted(seen) == known


def test_more_folds_than_a_class_can_fill_are_refused(samples: pd.DataFrame) -> None:
    with pytest.raises(ParamsError, match=r"class 'c' has only \d+ groups .* lower"):
        take_portion(samples, Portion(num_folds=50), 0)
