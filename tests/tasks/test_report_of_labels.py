"""Every number of the report of labels against scikit-learn and by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as theirs

from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.metrics.multilabel_thresholds import choose_thresholds
from sftcore.reporting.parts import read_parts
from sftcore.tasks.reports import report_for
from tests.tasks.finished import MEASURING, NAMES, PLACES, made
from tests.tasks.test_reports import rows_to_beat

FINISHED, FACTS, FEATURES = made("multilabel")
LABELS = {split: FINISHED.targets[rows].astype(int) for split, rows in PLACES.items()}
P = {split: FINISHED.answers[rows] for split, rows in PLACES.items()}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("labels") / "report"
    own = report_for("multilabel", NAMES, FACTS)
    baselines = rows_to_beat(own, FINISHED, FEATURES)
    return folder, own.write(FINISHED, MEASURING, folder, baselines)


def best_f1(labels: np.ndarray, probability: np.ndarray) -> float:
    cuts = [0.5, *np.unique(probability), 1.1]
    return max(theirs.f1_score(labels, probability >= cut, zero_division=0) for cut in cuts)


def expected(
    labels: np.ndarray, p: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    said = (p >= thresholds).astype(int)
    weighed: dict[str, Any] = {"sample_weight": weights}
    occurs = np.flatnonzero(labels[weights > 0 if weights is not None else slice(None)].any(axis=0))
    f1 = [theirs.f1_score(labels[:, k], said[:, k], zero_division=0, **weighed) for k in occurs]
    ranked = [theirs.average_precision_score(labels[:, k], p[:, k], **weighed) for k in occurs]
    losses = [theirs.log_loss(labels[:, k], p[:, k], labels=[0, 1], **weighed) for k in range(3)]
    return {
        "mean_average_precision": float(np.mean(ranked)),
        "macro_f1": float(np.mean(f1)),
        "micro_f1": theirs.f1_score(labels, said, average="micro", **weighed),
        "exact_match": theirs.accuracy_score(labels, said, **weighed),
        "hamming_loss": theirs.hamming_loss(labels, said, **weighed),
        "nll": float(np.mean(losses)),
    }


def free_of_thresholds(
    labels: np.ndarray, p: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Mean average precision and loss, of which no threshold is asked."""
    rows = np.repeat(np.arange(len(labels)), weights.astype(int))
    labels, p = labels[rows], p[rows]
    occurs = np.flatnonzero(labels.any(axis=0))
    ranked = [theirs.average_precision_score(labels[:, k], p[:, k]) for k in occurs]
    return float(np.mean(ranked)), float(-np.log(np.where(labels, p, 1 - p)).mean())


def test_thresholds_are_those_of_the_greatest_f1_on_validation(
    report: tuple[Path, dict[str, Any]],
) -> None:
    thresholds = np.array(report[1]["thresholds"])
    for k in range(3):
        found = theirs.f1_score(LABELS["val"][:, k], P["val"][:, k] >= thresholds[k])
        assert found == pytest.approx(best_f1(LABELS["val"][:, k], P["val"][:, k]))
    assert "its F1 on validation is greatest" in read_parts(report[0])[0].text[1]


@pytest.mark.parametrize("split", PLACES)
def test_every_number_is_scikit_learns(split: str, report: tuple[Path, dict[str, Any]]) -> None:
    metrics = report[1]
    wanted = expected(LABELS[split], P[split], np.array(metrics["thresholds"]))
    for name, value in wanted.items():
        assert metrics[split][name] == pytest.approx(value, abs=2e-6), name
    assert metrics[split]["num_pictures"] == len(PLACES[split])
    flat, right = P[split].ravel(), LABELS[split].ravel()
    bins = np.digitize(flat, np.arange(1, 7) / 7, right=True)
    ece = sum(abs((right - flat)[bins == of].sum()) for of in range(7)) / len(flat)
    assert metrics[split]["ece"] == pytest.approx(ece, abs=2e-6)
    assert metrics[split]["labels_per_picture"] == pytest.approx(
        LABELS[split].sum() / len(LABELS[split]), abs=2e-6
    )


def test_intervals_are_percentiles_of_resampled_groups(
    report: tuple[Path, dict[str, Any]],
) -> None:
    thresholds = np.array(report[1]["thresholds"])
    groups = [FINISHED.groups[row] for row in PLACES["test"]]
    (draws,) = grouped_bootstrap_weights(groups, 200, 3, "test")
    assert (draws[:, ::2] == draws[:, 1::2]).all()  # near-duplicates are drawn together
    many = [expected(LABELS["test"], P["test"], thresholds, weights) for weights in draws]
    for name in many[0]:
        low, high = np.quantile([of[name] for of in many], [0.05, 0.95])
        assert report[1]["test"][f"{name}_low"] == pytest.approx(low, abs=2e-6)
        assert report[1]["test"][f"{name}_high"] == pytest.approx(high, abs=2e-6)


def test_rows_to_beat_have_their_own_thresholds_and_differences_are_paired(
    report: tuple[Path, dict[str, Any]],
) -> None:
    metrics = report[1]
    groups = [FINISHED.groups[row] for row in PLACES["test"]]
    (draws,) = grouped_bootstrap_weights(groups, 200, 3, "test")
    for row in rows_to_beat(report_for("multilabel", NAMES, FACTS), FINISHED, FEATURES):
        cuts = choose_thresholds(LABELS["val"], row.val)  # tested against brute force elsewhere
        for name, value in expected(LABELS["test"], row.test, cuts).items():
            found = metrics["baselines"][row.name][f"test_{name}"]
            assert found == pytest.approx(value, abs=2e-6)
        if row.name != "logistic_regression":
            continue
        both = LABELS["test"], P["test"], row.test
        many = [[free_of_thresholds(both[0], p, weights) for weights in draws] for p in both[1:]]
        for place, (name, sign) in enumerate((("mean_average_precision", 1), ("nll", -1))):
            gains = [sign * (mine[place] - other[place]) for mine, other in zip(*many, strict=True)]
            low, high = np.quantile(gains, [0.05, 0.95])
            assert metrics["worth"][f"test_{name}_low"] == pytest.approx(low, abs=3e-6)
            assert metrics["worth"][f"test_{name}_high"] == pytest.approx(high, abs=3e-6)


def test_gaps_have_their_sign(report: tuple[Path, dict[str, Any]]) -> None:
    metrics = report[1]
    for key, more, less, name in (
        ("train_minus_test_mean_average_precision", "train", "test", "mean_average_precision"),
        ("test_minus_train_nll", "test", "train", "nll"),
    ):
        difference = metrics[more][name] - metrics[less][name]
        assert metrics["gap"][key] == pytest.approx(difference, abs=2e-6)


def test_tables_of_labels_and_of_the_most_wrong(report: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = report
    table = pd.read_csv(folder / "per_label.csv")
    for k in range(3):
        said = P["test"][:, k] >= metrics["thresholds"][k]
        ranked = theirs.average_precision_score(LABELS["test"][:, k], P["test"][:, k])
        assert table["average_precision"][k] == pytest.approx(ranked)
        assert table["f1"][k] == pytest.approx(theirs.f1_score(LABELS["test"][:, k], said))
        assert table["support"][k] == LABELS["test"][:, k].sum()
    wrong = pd.read_csv(folder / "most_wrong.csv")
    given = np.where(LABELS["test"] == 1, P["test"], 1 - P["test"])
    losses = -np.log(given).mean(axis=1)
    np.testing.assert_allclose(wrong["loss"], np.sort(losses)[::-1][:5], rtol=1e-7)
    paired = metrics["paired"]
    assert paired["num_pictures"] == 50
    assert 0 < paired["num_better"] + paired["num_worse"] <= 50


def test_a_label_that_is_missing_from_test_has_no_number(tmp_path: Path) -> None:
    finished, facts, features = made("multilabel")
    finished.targets[PLACES["test"], 2] = 0
    own = report_for("multilabel", NAMES, facts)
    metrics = own.write(finished, MEASURING, tmp_path / "a", rows_to_beat(own, finished, features))
    labels = finished.targets[PLACES["test"]]
    ranked = [theirs.average_precision_score(labels[:, k], P["test"][:, k]) for k in (0, 1)]
    assert metrics["test"]["mean_average_precision"] == pytest.approx(np.mean(ranked), abs=2e-6)
    assert pd.read_csv(tmp_path / "a" / "per_label.csv")["f1"].isna().tolist() == [0, 0, 1]
    assert np.isfinite(metrics["test"]["mean_average_precision_low"])
