"""Counts of labels, and the weights that even them out."""

import numpy as np
import pytest

from sftcore.foundations.errors import DataError
from sftcore.tasks.multilabel.targets import (
    LabelCounts,
    count_labels,
    decision_weights,
    refuse_constant_labels,
)

LABELS = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [1, 0, 1]])


def test_counts_and_frequencies() -> None:
    counts = count_labels(LABELS)
    assert counts == LabelCounts((3, 0, 3), 4)
    assert counts.frequencies.tolist() == pytest.approx([3.5 / 5, 0.5 / 5, 3.5 / 5])
    assert count_labels(LABELS.astype(bool)) == counts


@pytest.mark.parametrize("labels", [np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(3)])
def test_nothing_to_count_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="there must be rows, and labels for them"):
        count_labels(labels)


@pytest.mark.parametrize("value", [2.0, 0.5, np.nan])
def test_what_is_no_label_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"must be 0 \(absent\) or 1 \(present\)"):
        count_labels(np.array([[0.0, value]]))


def test_labels_without_anything_to_learn_are_refused_by_name() -> None:
    refuse_constant_labels(LabelCounts((1, 3), 4), ["a", "b"])
    with pytest.raises(DataError, match="'b' is present in no training row: add rows with it"):
        refuse_constant_labels(count_labels(LABELS), ["a", "b", "c"])
    with pytest.raises(DataError, match=r"'a' is present in every training row.*without it"):
        refuse_constant_labels(LabelCounts((4,), 4), ["a"])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_weights_have_the_mean_one_and_the_ratio_of_their_counts(power: float) -> None:
    counts = LabelCounts((10, 50, 97), 100)
    present = np.array(counts.present)
    absence, presence = decision_weights(counts, power)
    np.testing.assert_allclose((100 - present) * absence + present * presence, 100)
    np.testing.assert_allclose(presence / absence, ((100 - present) / present) ** power)
    if power == 1:
        np.testing.assert_allclose(present * presence, 50)


def test_labels_of_one_side_keep_weights_of_one() -> None:
    assert decision_weights(LabelCounts((0, 4, 1), 4), 1.0)[:, :2].tolist() == [[1, 1], [1, 1]]
