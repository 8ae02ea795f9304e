"""Tables of labels and of all probabilities together, row by row."""

from functools import partial

import numpy as np
import pytest

from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.metrics.multilabel import MultilabelMetrics, multilabel_metrics
from sftcore.metrics.multilabel_tables import per_label_table, pooled_reliability_table
from sftcore.metrics.weighted import interval_where, measure_resamples

N, K = 40, 3
STREAM = np.random.default_rng(0)
LABELS = (STREAM.random((N, K)) < [0.5, 0.1, 0.0]).astype(int)
PROBABILITY = STREAM.random((N, K)) * [1.0, 0.4, 1.0]
THRESHOLDS = np.full(K, 0.5)
GROUPS = np.repeat(np.arange(N // 2), 2)


def measure(weights: np.ndarray) -> MultilabelMetrics:
    return multilabel_metrics(LABELS, PROBABILITY, weights, THRESHOLDS, 5)


def test_resamples_in_pieces_are_resamples_at_once() -> None:
    (draws,) = grouped_bootstrap_weights(GROUPS, 30, 0, "test")
    at_once, in_pieces = measure(draws), measure_resamples(measure, [draws[:7], draws[7:]])
    for name in vars(at_once):
        assert getattr(in_pieces, name).shape == getattr(at_once, name).shape
        np.testing.assert_allclose(getattr(in_pieces, name), getattr(at_once, name), rtol=1e-12)


def test_a_row_for_each_label_with_intervals_over_what_is_defined() -> None:
    draws = np.concatenate(list(grouped_bootstrap_weights(GROUPS, 300, 0, "test")))
    many = measure(draws)
    table = per_label_table(
        ["a", "b", "c"], LABELS, THRESHOLDS, measure(np.ones((1, N))), many, 0.9
    )
    assert table["label"].tolist() == ["a", "b", "c"]
    assert table["support"].tolist() == LABELS.sum(axis=0).tolist()
    has_b = (draws * LABELS[:, 1]).sum(axis=1) > 0
    assert 0 < (~has_b).sum() < 300  # some resamples miss the rare label
    low, high = np.quantile(many.average_precision[has_b, 1], [0.05, 0.95])
    assert table.loc[1, "average_precision_low"] == pytest.approx(low)
    assert table.loc[1, "average_precision_high"] == pytest.approx(high)
    assert low <= table.loc[1, "average_precision"] <= high
    assert np.isnan(table.loc[1, "precision"])  # never predicted: below .4
    assert table.loc[1, "recall"] == 0
    absent = table.loc[2, ["average_precision", "recall", "f1", "f1_low", "recall_high"]]
    assert absent.isna().all()
    assert table.loc[2, "precision"] == 0
    assert not table[["threshold", "nll", "ece"]].isna().any(axis=None)


def test_the_columns_are_the_promised_ones() -> None:
    itself = measure(np.ones((1, N)))
    table = per_label_table(["a", "b", "c"], LABELS, THRESHOLDS, itself, itself, 0.9)
    measured = ["average_precision", "precision", "recall", "f1"]
    bounds = [f"{name}{end}" for name in measured for end in ("", "_low", "_high")]
    assert table.columns.tolist() == ["label", "support", "threshold", "nll", "ece", *bounds]


def test_intervals_where_nothing_is_defined() -> None:
    low, high = interval_where(np.zeros((4, 2)), np.array([[True, False]] * 4), 0.9)
    assert (low[0], high[0]) == (0, 0)
    assert np.isnan([low[1], high[1]]).all()


def test_the_reliability_table_adds_up_to_the_calibration_error() -> None:
    table = pooled_reliability_table(LABELS, PROBABILITY, 5)
    assert table["num_decisions"].sum() == N * K
    gaps = table["num_decisions"] * (table["frequency"] - table["probability"]).abs()
    assert gaps.sum() / (N * K) == pytest.approx(measure(np.ones((1, N))).ece[0])
    inside = (table["low"] < table["probability"]) & (table["probability"] <= table["high"])
    assert inside.all()


def test_the_reliability_table_by_hand() -> None:
    of = partial(pooled_reliability_table, num_bins=2)
    table = of(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.5], [0.1, 0.6]]))
    assert table["num_decisions"].tolist() == [2, 2]
    assert table["probability"].tolist() == pytest.approx([0.3, 0.75])
    assert table["frequency"].tolist() == [0.0, 1.0]
    assert len(of(np.array([[1]]), np.array([[0.9]]))) == 1
