"""The rows to beat of many labels against scikit-learn, and what validation chooses."""

import inspect

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

from sftcore.metrics import rows_to_beat as shared
from sftcore.metrics.rows_to_beat import NEIGHBOURS, nearest_rows
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.tasks.multilabel.baselines import (
    label_frequencies,
    logistic_regression,
    nearest_neighbours,
    rows_to_beat,
)
from sftcore.tasks.multilabel.targets import count_labels
from tests.tasks.made import D, K, multilabel_rows

TRAIN, VAL, TEST = multilabel_rows(150, 0), multilabel_rows(70, 1), multilabel_rows(50, 2)


def loss(probability: np.ndarray, labels: Tensor) -> float:
    """Mean over the labels, of which one may not occur."""
    columns = zip(labels.numpy().T, probability.T, strict=True)
    return float(np.mean([log_loss(label, p, labels=[0, 1]) for label, p in columns]))


def test_frequencies_are_those_of_training() -> None:
    row = label_frequencies(TRAIN[1], 70, 50)
    expected = (TRAIN[1].numpy().sum(axis=0) + 0.5) / 151
    np.testing.assert_allclose(row.test, np.tile(expected, (50, 1)))
    assert row.val.shape == (70, K)


def neighbours(k: int, features: Tensor) -> np.ndarray:
    """Scikit-learn's votes, with one more by the labels' frequencies."""
    theirs = KNeighborsRegressor(k, metric="cosine", algorithm="brute")
    theirs.fit(TRAIN[0].double().numpy(), TRAIN[1].double().numpy())
    prior = count_labels(TRAIN[1].numpy()).frequencies
    return (k * theirs.predict(features.double().numpy()) + prior) / (k + 1)


def test_neighbours_are_scikit_learns_and_chosen_by_validation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "_CHUNK_ELEMENTS", 7 * len(TRAIN[0]))  # several chunks
    row = nearest_neighbours(TRAIN, VAL, TEST[0])
    losses = {k: loss(neighbours(k, VAL[0]), VAL[1]) for k in NEIGHBOURS}
    chosen = min(losses, key=losses.__getitem__)
    assert row.settings == {"num_neighbours": chosen}
    np.testing.assert_allclose(row.val, neighbours(chosen, VAL[0]), atol=1e-12)
    np.testing.assert_allclose(row.test, neighbours(chosen, TEST[0]), atol=1e-12)
    few = TRAIN[0][:4], TRAIN[1][:4]
    assert nearest_neighbours(few, VAL, TEST[0]).settings["num_neighbours"] <= 3


def test_the_nearest_come_first() -> None:
    known = torch.tensor([[0.0, 1.0], [2.0, 2.0], [9.0, 0.0]])
    found = nearest_rows(known, torch.tensor([[1.0, 0.1], [0.0, 5.0]]), 2)
    assert found.tolist() == [[2, 1], [0, 1]]


def test_every_label_has_scikit_learns_logistic_regression_at_one_strength() -> None:
    row = logistic_regression(TRAIN, VAL, TEST[0])
    features = TRAIN[0].double().numpy()
    spread = float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean() ** 0.5)

    def theirs(strength: float, of: Tensor) -> np.ndarray:
        # on features of mean square one, on which scikit-learn's search ends at the optimum
        inputs = (features - features.mean(axis=0)) / spread
        heads = [
            LogisticRegression(
                C=1 / (strength * len(features)), solver="newton-cg", tol=1e-12, max_iter=10_000
            ).fit(inputs, TRAIN[1][:, k].numpy())
            for k in range(K)
        ]
        other = (of.double().numpy() - features.mean(axis=0)) / spread
        return np.stack([head.predict_proba(other)[:, 1] for head in heads], axis=1)

    losses = {strength: loss(theirs(strength, VAL[0]), VAL[1]) for strength in STRENGTHS[:8]}
    chosen = min(losses, key=losses.__getitem__)
    assert row.settings == {"strength": chosen}
    assert chosen not in (STRENGTHS[0], STRENGTHS[7])
    np.testing.assert_allclose(row.val, theirs(chosen, VAL[0]), atol=1e-4)
    np.testing.assert_allclose(row.test, theirs(chosen, TEST[0]), atol=1e-4)


def test_all_rows_are_the_same_twice_and_get_better() -> None:
    first, second = (rows_to_beat(TRAIN, VAL, TEST[0]) for _ in range(2))
    names = ["label_frequencies", "nearest_neighbours", "logistic_regression"]
    assert [row.name for row in first] == names
    for one, other in zip(first, second, strict=True):
        assert one.settings == other.settings
        assert (one.val == other.val).all()
        assert (one.test == other.test).all()
        assert one.test.shape == (50, K)
        assert ((one.test > 0) & (one.test < 1)).all()
    losses = [loss(row.test, TEST[1]) for row in first]
    assert losses == sorted(losses, reverse=True)


def test_a_label_that_training_lacks_is_next_to_impossible_and_costs_no_infinity() -> None:
    labels = TRAIN[1].clone()
    labels[:, 2] = 0
    for row in rows_to_beat((TRAIN[0], labels), VAL, TEST[0]):
        assert row.test[:, 2].max() < 0.1
        assert np.isfinite(loss(row.test, TEST[1]))


def test_labels_of_the_test_rows_are_no_argument() -> None:
    assert [*inspect.signature(rows_to_beat).parameters] == ["train", "val", "test"]
    assert TEST[0].shape == (50, D)
