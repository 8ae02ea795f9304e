"""Every number of the report of numbers against scikit-learn and by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as theirs

from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.reporting.parts import read_parts
from sftcore.tasks.reports import report_for
from tests.tasks.finished import MEASURING, NAMES, PLACES, made
from tests.tasks.test_reports import rows_to_beat

FINISHED, FACTS, FEATURES = made("regression")
STD = np.array(FACTS["scale"]["std"])
Y = {split: FINISHED.targets[rows] for split, rows in PLACES.items()}
SAID = {split: FINISHED.answers[rows] for split, rows in PLACES.items()}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("numbers") / "report"
    own = report_for("regression", NAMES, FACTS)
    baselines = rows_to_beat(own, FINISHED, FEATURES)
    return folder, own.write(FINISHED, MEASURING, folder, baselines)


def per_number(
    y: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    weighed: dict[str, Any] = {"sample_weight": weights, "multioutput": "raw_values"}
    counts = np.ones(len(y)) if weights is None else weights
    rows = np.repeat(np.arange(len(y)), counts.astype(int))
    return {
        "mae": theirs.mean_absolute_error(y, said, **weighed),
        "rmse": theirs.root_mean_squared_error(y, said, **weighed),
        "r2": theirs.r2_score(y, said, **weighed),
        "bias": np.average(said - y, axis=0, weights=weights),
        "median_absolute_error": np.median(np.abs(said - y)[rows], axis=0),
    }


def means(y: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    found = per_number(y, said, weights)
    return {
        "mean_rmse": float((found["rmse"] / STD).mean()),
        "mean_mae": float((found["mae"] / STD).mean()),
        "mean_median_absolute_error": float((found["median_absolute_error"] / STD).mean()),
        "mean_r2": float(found["r2"].mean()),
    }


def draws() -> np.ndarray:
    groups = [FINISHED.groups[row] for row in PLACES["test"]]
    (found,) = grouped_bootstrap_weights(groups, 200, 3, "test")
    return found


@pytest.mark.parametrize("split", PLACES)
def test_means_are_scikit_learns(split: str, report: tuple[Path, dict[str, Any]]) -> None:
    for name, value in means(Y[split], SAID[split]).items():
        assert report[1][split][name] == pytest.approx(value, abs=2e-6), name
    assert report[1][split]["num_pictures"] == len(PLACES[split])


def test_each_number_has_its_errors_in_its_unit_with_intervals(
    report: tuple[Path, dict[str, Any]],
) -> None:
    found, wanted = report[1]["test"]["numbers"], per_number(Y["test"], SAID["test"])
    many = [per_number(Y["test"], SAID["test"], weights) for weights in draws()]
    assert list(found) == NAMES
    for k, name in enumerate(NAMES):
        for metric, values in wanted.items():
            assert found[name][metric] == pytest.approx(values[k], rel=1e-9), metric
            bounds = np.quantile([of[metric][k] for of in many], [0.05, 0.95])
            ends = [found[name][f"{metric}_{end}"] for end in ("low", "high")]
            np.testing.assert_allclose(ends, bounds, rtol=1e-7)
    assert found[NAMES[1]]["mae"] > 5 * found[NAMES[0]]["mae"]  # units are not mixed
    table = pd.read_csv(report[0] / "per_number.csv")
    np.testing.assert_allclose(table["train_std"], STD, rtol=1e-7)


def test_differences_are_paired_and_more_is_better(report: tuple[Path, dict[str, Any]]) -> None:
    metrics = report[1]
    rows = rows_to_beat(report_for("regression", NAMES, FACTS), FINISHED, FEATURES)
    assert [row.name for row in rows] == ["mean", "nearest_neighbours", "ridge_regression"]
    for row in rows:
        for name, value in means(Y["test"], row.test).items():
            found = metrics["baselines"][row.name][f"test_{name}"]
            assert found == pytest.approx(value, abs=2e-6)
    ridge = rows[-1].test
    for name, sign in (("mean_r2", 1), ("mean_mae", -1), ("mean_rmse", -1)):
        many = [
            sign * (means(Y["test"], SAID["test"], w)[name] - means(Y["test"], ridge, w)[name])
            for w in draws()
        ]
        low, high = np.quantile(many, [0.05, 0.95])
        assert metrics["worth"][f"test_{name}_low"] == pytest.approx(low, abs=3e-6)
        assert metrics["worth"][f"test_{name}_high"] == pytest.approx(high, abs=3e-6)
    assert metrics["worth"]["test_mean_r2"] > 0
    assert metrics["worth"]["test_mean_mae"] > 0


def test_gaps_have_their_sign(report: tuple[Path, dict[str, Any]]) -> None:
    metrics = report[1]
    for key, more, less, name in (
        ("train_minus_test_mean_r2", "train", "test", "mean_r2"),
        ("test_minus_train_mean_mae", "test", "train", "mean_mae"),
    ):
        difference = metrics[more][name] - metrics[less][name]
        assert metrics["gap"][key] == pytest.approx(difference, abs=2e-6)


def test_intervals_are_fixed_on_validation_and_measured_on_test(
    report: tuple[Path, dict[str, Any]],
) -> None:
    rank = int(np.ceil(61 * 0.85))
    for k, name in enumerate(NAMES):
        found = report[1]["intervals"][name]
        radius = sorted(np.abs(Y["val"][:, k] - SAID["val"][:, k]))[rank - 1]
        hits = np.abs(Y["test"][:, k] - SAID["test"][:, k]) <= radius
        assert found["radius"] == pytest.approx(radius)
        assert found["coverage"] == pytest.approx(hits.mean())
        count = 25  # groups of two
        low = stats.beta.ppf(0.05, hits.mean() * count, count - hits.mean() * count + 1)
        assert found["coverage_low"] == pytest.approx(low)
    table = pd.read_csv(report[0] / "intervals.csv")
    assert 0.85 in set(table["level"])
    parts = {part.title: part for part in read_parts(report[0])}
    said = parts["Intervals around the numbers"].text[1:]
    assert len(said) == len(NAMES)
    assert all("if pictures are independent" in line for line in said), "groups are not"


def test_the_most_wrong_have_the_greatest_errors(report: tuple[Path, dict[str, Any]]) -> None:
    wrong = pd.read_csv(report[0] / "most_wrong.csv")
    each = np.abs(Y["test"] - SAID["test"]) / STD
    errors, worst = each.mean(axis=1), int(each.mean(axis=1).argmax())
    np.testing.assert_allclose(wrong["error"], np.sort(errors)[::-1][:5], rtol=1e-7)
    k = int(each[worst].argmax())
    assert wrong["number"][0].lstrip("'") == NAMES[k]
    assert wrong["actual"][0] == pytest.approx(Y["test"][worst, k])
    assert wrong["predicted"][0] == pytest.approx(SAID["test"][worst, k])


def test_too_few_validation_pictures_are_said_and_numbers_that_do_not_vary_too(
    tmp_path: Path,
) -> None:
    finished, facts, features = made("regression")
    finished.targets[PLACES["test"], 1] = 5.0
    own = report_for("regression", NAMES, facts)
    measuring = replace(MEASURING, coverage=0.99)
    baselines = rows_to_beat(own, finished, features)
    metrics = own.write(finished, measuring, tmp_path / "a", baselines)
    y, said = finished.targets[PLACES["test"]], SAID["test"]
    r2 = [theirs.r2_score(y[:, k], said[:, k]) for k in (0, 2)]
    assert metrics["test"]["mean_r2"] == pytest.approx(np.mean(r2), abs=2e-6)
    parts = {part.title: part for part in read_parts(tmp_path / "a")}
    assert "too few for this coverage" in parts["Intervals around the numbers"].text[1]
    assert np.isinf(metrics["intervals"][NAMES[0]]["radius"])


def test_a_single_number_and_many(tmp_path: Path) -> None:
    finished, facts, _ = made("regression")
    for columns in ([0], [0, 1, 2, 0, 1, 2, 0, 1]):
        scale = {name: [values[k] for k in columns] for name, values in facts["scale"].items()}
        own = report_for("regression", [f"n{k}" for k in range(len(columns))], {"scale": scale})
        some = replace(
            finished, answers=finished.answers[:, columns], targets=finished.targets[:, columns]
        )
        metrics = own.write(some, MEASURING, tmp_path / str(len(columns)))
        assert len(metrics["test"]["numbers"]) == len(columns)
        assert len(own.first_answer(metrics)) == 2 + min(len(columns), 6)
