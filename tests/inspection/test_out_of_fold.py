"""Out-of-fold probabilities: no picture is judged by what has learnt it."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sftcore.inspection.out_of_fold import NUM_FOLDS, grouped_folds, out_of_fold

C = 3


def pictures(count: int, size: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Features around a direction per class, class indices, and groups of up to three."""
    stream = np.random.default_rng(seed)
    labels = stream.choice(C, size=count, p=[0.5, 0.3, 0.2])
    centres = np.random.default_rng(99).normal(size=(C, size))
    features = centres[labels] + 2.0 * stream.normal(size=(count, size))
    groups = np.array([f"g{n // 3 if n < 30 else n}" for n in range(count)])
    labels[:30] = labels[:30:3].repeat(3)
    return torch.from_numpy(features).float(), labels, groups


def test_folds_keep_groups_whole_and_classes_even() -> None:
    _, labels, groups = pictures(200, 5)
    folds = grouped_folds(labels, groups)
    assert set(folds) == set(range(NUM_FOLDS))
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    for k in range(C):
        counts = np.bincount(folds[labels == k], minlength=NUM_FOLDS)
        assert counts.max() - counts.min() <= 3
    np.testing.assert_array_equal(folds, grouped_folds(labels, groups))


def test_a_class_of_two_groups_is_parted_and_no_warning_is_left() -> None:
    labels = np.array([0] * 40 + [1] * 40 + [2, 2])
    groups = np.array([str(n) for n in range(82)])
    folds = grouped_folds(labels, groups)
    assert folds[80] != folds[81]


@pytest.mark.parametrize("size", [12, 300])
def test_each_fold_is_judged_by_scikit_learn_s_optimum_of_the_others(size: int) -> None:
    features, labels, groups = pictures(120, size)
    folds = grouped_folds(labels, groups)
    judged = out_of_fold(features, torch.from_numpy(labels), folds, C)
    np.testing.assert_allclose(judged.probability.sum(axis=1), 1, atol=1e-12)
    assert judged.is_judged.all()
    plain = features.double().numpy()
    losses = {}
    for strength in (1e-1, 1e-2, 1e-3, 1e-4):
        theirs = np.empty((120, C))
        for fold in range(NUM_FOLDS):
            rows = folds == fold
            train = plain[~rows]
            variance = float(((train - train.mean(axis=0)) ** 2).sum(axis=1).mean())
            model = LogisticRegression(
                C=1 / (strength * variance * len(train)), tol=1e-9, max_iter=20_000
            ).fit(train, labels[~rows])
            theirs[rows] = model.predict_proba(plain[rows])
        losses[strength] = -np.log(theirs[np.arange(120), labels]).mean()
        if strength == judged.strength:
            np.testing.assert_allclose(judged.probability, theirs, atol=2e-3)
    assert judged.strength == min(losses, key=losses.__getitem__)


def test_a_wrong_label_has_no_say_in_its_own_judgement() -> None:
    features, labels, groups = pictures(150, 20)
    folds = grouped_folds(labels, groups)
    before = out_of_fold(features, torch.from_numpy(labels), folds, C)
    wrong = labels.copy()
    wrong[7] = (wrong[7] + 1) % C
    after = out_of_fold(features, torch.from_numpy(wrong), folds, C)
    assert after.strength == before.strength
    own_fold = folds == folds[7]
    np.testing.assert_array_equal(before.probability[own_fold], after.probability[own_fold])
    assert (before.probability[~own_fold] != after.probability[~own_fold]).any()


def test_a_class_with_one_group_is_not_judged() -> None:
    features, labels, groups = pictures(90, 10)
    labels[labels == 2] = 0
    labels[[5, 6]], groups[[5, 6]] = 2, "alone"
    judged = out_of_fold(features, torch.from_numpy(labels), grouped_folds(labels, groups), C)
    assert np.flatnonzero(~judged.is_judged).tolist() == [5, 6]
    assert np.isfinite(judged.probability).all()
