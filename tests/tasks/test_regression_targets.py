"""The scale of the targets: there and back, and what has none."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from sftcore.foundations.errors import DataError
from sftcore.tasks.regression.targets import TargetScale, fit_scale

TARGETS = np.random.default_rng(0).normal(size=(30, 2)) * [1e-6, 1e6] + [3.0, -4e6]


def test_it_is_scikit_learns_scaler() -> None:
    scale, theirs = fit_scale(TARGETS, ["a", "b"]), StandardScaler().fit(TARGETS)
    np.testing.assert_allclose(scale.to_standard(TARGETS), theirs.transform(TARGETS), rtol=1e-6)
    np.testing.assert_allclose(scale.from_standard(scale.to_standard(TARGETS)), TARGETS)
    standard = scale.to_standard(TARGETS)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(standard).mean(axis=0), 1, rtol=1e-6)


def test_a_record_gives_the_same_scale_back() -> None:
    scale = fit_scale(TARGETS, ["a", "b"])
    assert TargetScale.from_record(json.loads(json.dumps(scale.to_record()))) == scale


@pytest.mark.parametrize(
    "record",
    [
        {"mean": [1.0], "std": [1.0, 2.0]},
        {"mean": [1.0], "std": [0.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": [], "std": []},
    ],
)
def test_a_damaged_record_is_refused(record: dict[str, list[float]]) -> None:
    with pytest.raises(DataError, match="damaged"):
        TargetScale.from_record(record)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_a_number_that_does_not_vary_is_refused_by_name(level: float) -> None:
    targets = np.stack([np.arange(7.0), np.full(7, level)], axis=1)
    with pytest.raises(DataError, match=r"'width' is .* in every training row"):
        fit_scale(targets, ["height", "width"])


def test_missing_numbers_and_too_few_rows_are_refused() -> None:
    missing = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, np.inf]])
    with pytest.raises(DataError, match="'b' is missing or infinite in 2 training rows"):
        fit_scale(missing, ["a", "b"])
    with pytest.raises(DataError, match="1 training rows have no spread"):
        fit_scale(missing[:1], ["a", "b"])
