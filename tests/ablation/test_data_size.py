"""The learning curve: a power law that was put in is found, and what is none is not supported."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from sftcore.ablation.data_size import fit_power_laws, growth_table, measure_growth
from sftcore.ablation.figures import data_size_figure
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import LINE

FRACTIONS = (0.25, 0.5, 0.71, 1.0)


def curve(
    error: Callable[[int, float], float],
    num_replicates: int = 4,
    row: str = "none",
    fractions: Sequence[float] = FRACTIONS,
) -> pd.DataFrame:
    """Cells of a learning curve; ``error`` is of the replicate and the number of pictures."""
    return pd.DataFrame([
        LINE | {
            "family": "data_size", "row": row, "replicate": 1000 + number, "fraction": fraction,
            "num_train": round(400 * fraction), "num_judge": 100, "num_choose": 0,
            "accuracy": 1 - error(number, round(400 * fraction)),
        }
        for number in range(num_replicates)
        for fraction in fractions
    ])  # fmt: skip


def falling(number: int, count: float) -> float:
    """Exponents around 0.3."""
    return 2.0 * count ** -(0.3 + 0.002 * (number % 2))


def test_a_power_law_is_found_again_and_the_next_doubling_foretold() -> None:
    (law,) = fit_power_laws(curve(lambda _, count: 2 * count**-0.3), 0.95, TASK)
    gain = 2 * 400**-0.3 - 2 * 800**-0.3
    assert (law.row, law.num_train) == ("none", 400)
    assert law.exponent.mean == pytest.approx(0.3)
    assert law.scale == pytest.approx(2.0)
    assert law.doubling.mean == pytest.approx(gain)
    assert law.miss.mean == pytest.approx(0, abs=1e-12)
    (law,) = fit_power_laws(curve(falling), 0.95, TASK)
    assert law.exponent.low < 0.301 < law.exponent.high
    assert law.exponent.num == law.doubling.num == law.miss.num == 4
    assert law.is_supported


def test_noise_supports_no_word_on_more_data() -> None:
    stream = np.random.default_rng(0)
    (law,) = fit_power_laws(curve(lambda *_: stream.uniform(0.2, 0.4)), 0.95, TASK)
    assert law.exponent.low < 0
    assert not law.is_supported


def test_a_law_that_the_largest_size_refutes_is_not_supported() -> None:
    """Falls beyond doubt up to 284 pictures and no further: half as many would have done."""

    def flat(number: int, count: float) -> float:
        return falling(number, min(count, 200))

    (law,) = fit_power_laws(curve(flat), 0.95, TASK)
    assert law.exponent.low > 0
    assert law.miss.low > 0
    assert not law.is_supported

    def sudden(number: int, count: float) -> float:
        return falling(number, count) * (0.5 if count == 400 else 1)

    (law,) = fit_power_laws(curve(sudden), 0.95, TASK)
    assert law.exponent.low > 0
    assert law.miss.high < 0
    assert not law.is_supported


def test_errors_that_rise_are_not_supported() -> None:
    (law,) = fit_power_laws(curve(lambda _, count: 0.1 * count**0.1), 0.95, TASK)
    assert law.exponent.high < 0
    assert not law.is_supported


def test_only_whole_replicates_are_fitted() -> None:
    cells = curve(falling)
    cells.loc[(cells["replicate"] == 1000) & (cells["fraction"] == 0.5), "status"] = "diverged"
    (law,) = fit_power_laws(cells, 0.95, TASK)
    assert law.exponent.num == 3
    assert fit_power_laws(cells[cells["replicate"] < 1002], 0.95, TASK) == []
    assert fit_power_laws(cells[cells["family"] == ""], 0.95, TASK) == []


def test_perfect_accuracy_has_a_logarithm() -> None:
    (law,) = fit_power_laws(curve(lambda *_: 0.0), 0.95, TASK)
    assert law.exponent.mean == pytest.approx(0, abs=1e-9)
    assert not law.is_supported


def test_rows_have_laws_of_their_own() -> None:
    cells = pd.concat([curve(falling), curve(lambda *_: 0.3, row="probe")], ignore_index=True)
    laws = fit_power_laws(cells, 0.95, TASK)
    assert [law.row for law in laws] == ["none", "probe"]
    assert laws[1].exponent.mean == pytest.approx(0, abs=1e-9)
    png = data_size_figure(cells, laws, TASK)
    assert png == data_size_figure(cells, laws, TASK)
    assert png.startswith(b"\x89PNG")


def test_growth_is_measured_from_half_the_pictures_in_pairs() -> None:
    def jumping(number: int, count: float) -> float:
        return 0.3 + 0.1 * number - (0.05 if count == 400 else 0) + (0.1 if count < 200 else 0)

    cells = pd.concat(
        [curve(jumping), curve(lambda *_: 0.9, row="probe")], ignore_index=True
    ).sample(frac=1, random_state=1)
    growth = measure_growth(cells, 0.95, TASK)
    assert growth is not None
    assert (growth.fraction, growth.num_train) == (0.5, 400)
    assert growth.gain.mean == pytest.approx(0.05)
    # Equal steps of an accuracy: the spread is at least one picture of the hundred that judge.
    assert growth.gain.standard_error == pytest.approx(0.01 * (1 / 4 + 100 / 400) ** 0.5)
    nearest = measure_growth(curve(jumping, fractions=(0.1, 0.4, 1.0)), 0.95, TASK)
    assert nearest is not None
    assert nearest.fraction == 0.4


def test_growth_that_was_not_asked_for_or_cannot_be_measured_is_none() -> None:
    cells = curve(falling)
    assert measure_growth(cells[cells["family"] == "confirm"], 0.95, TASK) is None
    assert measure_growth(cells.assign(status="diverged"), 0.95, TASK) is None
    whole = cells["fraction"] == 1
    for failed in (whole, ~whole):
        lost = cells.assign(status=np.where(failed, "diverged", "finished"))
        assert measure_growth(lost, 0.95, TASK) is None


def test_without_the_whole_there_is_no_law() -> None:
    cells = curve(falling)
    cells.loc[cells["fraction"] == 1, "status"] = "diverged"
    assert fit_power_laws(cells, 0.95, TASK) == []


def test_the_table_counts_what_failed_and_what_may_not_have_converged() -> None:
    cells = curve(lambda number, count: 0.1 * number + 10 / count)
    cells.loc[(cells["replicate"] == 1000) & (cells["fraction"] == 0.5), "status"] = "collapsed"
    cells.loc[cells["fraction"] == 0.25, "ends_on_last"] = True
    found = growth_table(cells, TASK)
    assert found["fraction"].tolist() == list(FRACTIONS)
    assert found["num_replicates"].tolist() == [4] * 4
    assert found["num_failed"].tolist() == [0, 1, 0, 0]
    assert found["num_on_last_epoch"].tolist() == [4, 0, 0, 0]
    assert found["num_train"].tolist() == [100, 200, 284, 400]
    assert found["accuracy"].iloc[3] == pytest.approx(1 - 0.15 - 0.025)
    assert found["accuracy_spread"].iloc[3] == pytest.approx(np.std([0, 0.1, 0.2, 0.3], ddof=1))
    assert growth_table(cells[cells["row"] == ""], TASK).empty
