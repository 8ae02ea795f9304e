"""Confident learning against the paper's equations, and on labels that were planted wrong."""

import numpy as np
import pytest

from sftcore.inspection.suspects import self_confidence, suspect_rows


def made(count: int = 600, num_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, 5 % of them wrong, and fair probabilities of a model that is right in 85 %."""
    stream = np.random.default_rng(seed)
    truth = stream.integers(0, num_classes, count)
    logits = stream.normal(size=(count, num_classes))
    logits[np.arange(count), truth] += 3.0
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    labels[: count // 20] = (labels[: count // 20] + 1) % num_classes
    return labels, probability


def confident_joint_suspects(labels: np.ndarray, probability: np.ndarray) -> set[int]:
    """Off the diagonal of the confident joint (Northcutt et al., 2021, eqs. 1 and 2)."""
    own = probability[np.arange(len(labels)), labels]
    threshold = np.array([own[labels == j].mean() for j in range(probability.shape[1])])
    suspects = set()
    for row, values in enumerate(probability):
        above = np.flatnonzero(values >= threshold - 1e-6)
        if len(above):
            likely = above[values[above].argmax()]
            if likely != labels[row] and values.argmax() != labels[row]:
                suspects.add(row)
    return suspects


@pytest.mark.parametrize("seed", range(3))
def test_the_number_is_the_paper_s_and_the_least_probable_labels_are_named(seed: int) -> None:
    labels, probability = made(seed=seed)
    count = len(confident_joint_suspects(labels, probability))
    own = probability[np.arange(len(labels)), labels]
    expected = sorted(range(len(labels)), key=lambda row: (own[row], row))[:count]
    assert suspect_rows(labels, probability).tolist() == [
        row for row in expected if probability[row].argmax() != labels[row]
    ]
    assert count > 10


def test_planted_labels_are_found_and_come_first() -> None:
    labels, probability = made()
    found = suspect_rows(labels, probability)
    planted = set(range(30))
    assert len(planted & set(found.tolist())) >= 0.8 * len(found) > 10
    assert len(planted & set(found[:15].tolist())) >= 14
    confidence = self_confidence(labels, probability)[found]
    assert (np.diff(confidence) >= 0).all()
    assert (probability[found].argmax(axis=1) != labels[found]).all()
    np.testing.assert_array_equal(found, suspect_rows(labels, probability))


def test_labels_that_the_model_agrees_with_are_no_suspects() -> None:
    labels = np.arange(40) % 4
    probability = np.full((40, 4), 0.05) + 0.8 * np.eye(4)[labels]
    assert len(suspect_rows(labels, probability)) == 0


def test_a_class_without_a_judged_picture_is_no_obstacle() -> None:
    labels, probability = made(num_classes=4)
    kept = labels != 3
    found = suspect_rows(labels[kept], probability[kept])
    assert 0 < len(found) < 250
