"""Schedules against values computed by hand, lengths against the run's."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from sftcore.optimization.schedules import (
    SHAPES,
    Length,
    ScheduleSettings,
    learning_rate_at,
    plateau_drops,
)

HALF_WAVE = [
    1.0,
    0.97552826,
    0.90450850,
    0.79389263,
    0.65450850,
    0.5,
    0.34549150,
    0.20610737,
    0.09549150,
    0.02447174,
]
TWO_WAVES = [1.0, 0.90450850, 0.65450850, 0.34549150, 0.09549150]
HAND_COMPUTED: list[tuple[ScheduleSettings, list[float]]] = [
    (ScheduleSettings(name="constant"), [1.0] * 10),
    (ScheduleSettings(name="linear"), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
    (
        ScheduleSettings(name="linear", end=0.1),
        [1.0, 0.91, 0.82, 0.73, 0.64, 0.55, 0.46, 0.37, 0.28, 0.19],
    ),
    (ScheduleSettings(name="cosine"), HALF_WAVE),
    (ScheduleSettings(name="cosine", end=0.5), [0.5 + 0.5 * value for value in HALF_WAVE]),
    (ScheduleSettings(name="cosine", cycles=2), TWO_WAVES * 2),
    (
        ScheduleSettings(name="polynomial"),
        [1.0, 0.81, 0.64, 0.49, 0.36, 0.25, 0.16, 0.09, 0.04, 0.01],
    ),
    (
        ScheduleSettings(name="polynomial", power=3.0, end=0.5),
        [1.0, 0.8645, 0.756, 0.6715, 0.608, 0.5625, 0.532, 0.5135, 0.504, 0.5005],
    ),
    (
        ScheduleSettings(name="exponential"),
        [
            1.0,
            0.63095734,
            0.39810717,
            0.25118864,
            0.15848932,
            0.1,
            0.06309573,
            0.03981072,
            0.02511886,
            0.01584893,
        ],
    ),
    (
        ScheduleSettings(name="exponential", factor=0.5, every="2 steps"),
        [1.0, 0.70710678, 0.5, 0.35355339, 0.25, 0.17677670, 0.125, 0.08838835, 0.0625, 0.04419417],
    ),
    (ScheduleSettings(name="step", every=0.4), [1.0] * 4 + [0.1] * 4 + [0.01] * 2),
    (ScheduleSettings(name="step", factor=0.5, every="1 epoch"), [1.0] * 5 + [0.5] * 5),
    (ScheduleSettings(name="multi_step"), [1.0] * 5 + [0.1] * 3 + [0.01] * 2),
    (
        ScheduleSettings(name="multi_step", milestones=["1 epoch", "7 steps", 0.9]),
        [1.0] * 5 + [0.1] * 2 + [0.01] * 2 + [0.001],
    ),
    (ScheduleSettings(name="multi_step", milestones=[0.7]), [1.0] * 7 + [0.1] * 3),
    (
        ScheduleSettings(name="one_cycle", rise=0.4),
        [0.04, 0.28, 0.76, 1.0, 0.93301297, 0.750001, 0.500002, 0.250003, 0.06699103, 0.000004],
    ),
    (ScheduleSettings(name="warmup_stable_decay", decay=0.4), [1.0] * 7 + [0.75, 0.5, 0.25]),
    (
        ScheduleSettings(name="warmup_stable_decay", decay="4 steps", end=0.2),
        [1.0] * 7 + [0.8, 0.6, 0.4],
    ),
    (ScheduleSettings(name="plateau"), [1.0] * 10),
]


def rates(
    schedule: ScheduleSettings, steps: Iterable[int] = range(10), **kwargs: float
) -> list[float]:
    """Of a phase of 2 epochs of 5 steps."""
    in_steps = schedule.in_steps(num_epochs=2, steps_per_epoch=5)
    return [learning_rate_at(step, in_steps, **kwargs) for step in steps]  # type: ignore[arg-type]


@pytest.mark.parametrize(("schedule", "expected"), HAND_COMPUTED)
def test_ten_hand_computed_values(schedule: ScheduleSettings, expected: list[float]) -> None:
    np.testing.assert_allclose(rates(schedule, peak=2.0), 2 * np.array(expected), atol=2e-8)


def test_ten_hand_computed_epochs_on_a_plateau() -> None:
    """Patience 1: every second epoch in a row that is no better than the best before drops."""
    losses = [1.0, 0.8, 0.9, 0.85, 0.8, 0.8, 0.7, 0.9, 0.9, 0.9]
    schedule = ScheduleSettings(name="plateau", factor=0.1, patience=1)
    found = [
        rates(schedule, [0], peak=2.0, num_drops=plateau_drops(losses[:epoch], 1))[0]
        for epoch in range(1, 11)
    ]
    expected = [2.0, 2.0, 2.0, 0.2, 0.2, 0.02, 0.02, 0.02, 0.002, 0.002]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_every_shape_has_hand_computed_values() -> None:
    assert {schedule.name for schedule, _ in HAND_COMPUTED} == SHAPES.keys()


@pytest.mark.parametrize("warmup", [0.4, "4 steps", "0.8 epochs"])
def test_warm_up_rises_to_the_peak_and_then_decays(warmup: Length) -> None:
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    found = rates(ScheduleSettings(name="linear", warmup=warmup), peak=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_warm_up_goes_before_any_shape_and_lengths_count_from_its_end(name: str) -> None:
    found = rates(
        ScheduleSettings(name=name, warmup="2 steps", every="4 steps", rise="4 steps"), peak=3.0
    )
    assert found[:2] == [1.5, 3.0]
    alone = ScheduleSettings(name=name, every="4 steps", rise="4 steps").in_steps(1, 8)
    assert found[2:] == [learning_rate_at(step, alone, peak=3.0) for step in range(8)]


def test_a_step_outside_of_the_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="outside a phase of 10 steps"):
        rates(ScheduleSettings(name="linear"), steps=[10], peak=1.0)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            ScheduleSettings(name="cosine", warmup="10 steps"),
            r"warmup is 10 steps, .* at most 9 fit",
        ),
        (
            ScheduleSettings(name="cosine", warmup="3 epochs"),
            r"warmup is 3 epochs, which is 15 steps",
        ),
        (
            ScheduleSettings(name="cosine", warmup=1.0),
            "at most 9 fit into a phase of 2 epochs, 10 steps",
        ),
        (ScheduleSettings(name="step", every="11 steps"), "schedule.every is 11 steps"),
        (ScheduleSettings(name="step", every="0 steps"), "must be longer than nothing"),
        (ScheduleSettings(name="exponential", every="0.0 epochs"), "must be longer than nothing"),
        (ScheduleSettings(name="exponential", warmup=0.5, every="6 steps"), "at most 5 fit"),
        (
            ScheduleSettings(name="multi_step", milestones=[0.5, "3 epochs"]),
            "schedule.milestones.1 is 3 epochs",
        ),
        (
            ScheduleSettings(name="one_cycle", warmup="8 steps", rise="3 steps"),
            "schedule.rise is 3 steps",
        ),
        (
            ScheduleSettings(name="warmup_stable_decay", warmup=0.5, decay="2 epochs"),
            "schedule.decay is 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused(schedule: ScheduleSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule.in_steps(num_epochs=2, steps_per_epoch=5)


def test_lengths_that_a_schedule_does_not_use_may_be_anything() -> None:
    ScheduleSettings(
        name="cosine", every="99 epochs", rise="99 epochs", decay="99 epochs"
    ).in_steps(2, 5)


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torchs(patience: int) -> None:
    stream = np.random.default_rng(patience)
    losses = np.round(stream.random(40), 1).tolist()
    losses[7] = float("nan")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, threshold=0.0, eps=0.0)
    schedule = ScheduleSettings(name="plateau", factor=0.5, patience=patience)
    for count in range(len(losses)):
        rate = rates(schedule, [0], peak=1.0, num_drops=plateau_drops(losses[:count], patience))
        assert rate[0] == optimizer.param_groups[0]["lr"]
        theirs.step(losses[count])


@pytest.mark.parametrize("num_steps", [1, 3, 4, 10, 47])
@pytest.mark.parametrize("rise", [0.0, 0.01, 0.3, 0.5, 0.99])
def test_one_cycle_is_torchs_from_the_first_update_to_the_last(num_steps: int, rise: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = OneCycleLR(optimizer, 2.0, num_steps, pct_start=rise, cycle_momentum=False)
    expected = []
    for step in range(num_steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if step + 1 < num_steps:
            theirs.step()
    ours = ScheduleSettings(name="one_cycle", rise=rise).in_steps(1, num_steps)
    found = [learning_rate_at(step, ours, peak=2.0) for step in range(num_steps)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found[-1] == pytest.approx(2.0 / 250_000, rel=1e-9)


@pytest.mark.parametrize(("rise", "first", "last"), [("1 step", 1.0, 4e-6), (1.0, 0.04, 1.0)])
def test_one_cycle_of_one_part(rise: Length, first: float, last: float) -> None:
    """torch divides by zero for the first; both ends are those of the part that is left."""
    found = rates(ScheduleSettings(name="one_cycle", rise=rise), [0, 9], peak=1.0)
    assert found == pytest.approx([first, last], rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "warmup_stable_decay"])
def test_the_others_end_one_update_before_their_end(name: str) -> None:
    schedule = ScheduleSettings(name=name, end=0.25).in_steps(1, 1000)
    assert 0.25 < learning_rate_at(999, schedule, peak=1.0) < 0.255
