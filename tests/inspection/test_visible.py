"""The sentences on what a test split can show hold against the functions they come from."""

import re

import numpy as np
import pytest

from sftcore.inspection.visible import (
    Comparison,
    SplitSize,
    size_sentences,
    visible_figure,
    visible_sentences,
    visible_table,
)
from sftcore.metrics.paired_test import paired_power


@pytest.mark.parametrize("sizes", [[1] * 150, [1] * 122 + [2] * 3 + [3] * 2, [1] * 5000])
def test_the_numbers_in_the_sentences_have_the_power_they_claim(sizes: list[int]) -> None:
    split = SplitSize.of_groups(sizes)
    text = " ".join(visible_sentences(split))
    found = re.findall(r"([\d.]+) points at (\d+)%", text)
    assert [share for _, share in found] == ["10", "20"]
    for points, share in found:
        difference, discordance = float(points) / 100, float(share) / 100
        assert paired_power(split.num_independent, discordance, difference + 0.0005) >= 0.8
        assert paired_power(split.num_independent, discordance, difference - 0.0006) < 0.8
    needed = re.search(r"To show 2 points .*: ([\d,]+) at 10%, ([\d,]+) at 20%", text)
    for count, share in zip(needed.groups(), (0.1, 0.2), strict=True):
        assert 0.8 <= paired_power(int(count.replace(",", "")), share, 0.02) < 0.84
    assert ("independent ones" in text) == (split.num_independent < split.num_pictures)


def test_few_pictures_show_nothing_and_none_say_so() -> None:
    text = " ".join(visible_sentences(SplitSize.of_groups([1] * 30)))
    assert "none at 10%, none at 20%" in text
    assert visible_sentences(SplitSize.of_groups([])) == [
        "Test split: no picture, so nothing can be shown with it."
    ]


def test_other_examples_and_scores_are_called_by_their_names() -> None:
    split = SplitSize.of_groups([1] * 80 + [2] * 10)
    plain = " ".join(visible_sentences(split))
    texts = " ".join(visible_sentences(split, Comparison("exact match", "right in all", "text")))
    words = (("accuracy", "exact match"), ("is right", "is right in all"), ("picture", "text"))
    for old, new in words:
        plain = plain.replace(old, new)
    assert texts == plain
    first, second = size_sentences(split, "text", "loss")
    assert (
        first == "Test split: 100 texts, worth at least 83 independent ones, as groups go together."
    )
    assert second.startswith("How small a difference in loss between two models it shows depends")
    assert size_sentences(SplitSize.of_groups([]), "text", "error") == [
        "Test split: no text, so nothing can be shown with it."
    ]


def test_the_curve_falls_and_marks_this_split() -> None:
    table = visible_table(SplitSize(134, 118))
    assert table[table["is_this_split"]]["num_pictures"].tolist() == [118, 118]
    for _, part in table.groupby("discordance"):
        seen = part["smallest_difference"].dropna().to_numpy()
        assert len(seen) > 20
        assert (np.diff(seen) < 1e-4).all()
    assert visible_figure(table) == visible_figure(table)
    large = visible_table(SplitSize(60_000, 60_000))
    assert large["num_pictures"].max() == 120_000


def test_a_split_that_shows_nothing_can_be_drawn() -> None:
    assert visible_figure(visible_table(SplitSize(3, 3))).startswith(b"\x89PNG")
