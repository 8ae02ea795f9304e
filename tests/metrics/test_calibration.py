"""Temperature scaling against a search that knows no formula."""

import numpy as np
import pytest

from sftcore.metrics.calibration import (
    cross_fitted_probabilities,
    fit_temperature,
    scale_probabilities,
)


def example(sharpness: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``sharpness·z`` of labels drawn from softmax(z): the right temperature is known."""
    stream = np.random.default_rng(0)
    logits = stream.normal(scale=2, size=(count, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < stream.random((count, 1))).sum(axis=1)
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.25, 1.0, 3.0])
def test_the_temperature_undoes_what_was_done(sharpness: float) -> None:
    logits, labels = example(sharpness)
    assert fit_temperature(logits, labels) == pytest.approx(sharpness, rel=0.06)


def test_it_has_the_least_loss_of_all() -> None:
    logits, labels = example(2.0, 300)

    def nll(temperature: float) -> float:
        scaled = logits / temperature
        log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-log_p[np.arange(len(labels)), labels].mean())

    found = fit_temperature(logits, labels)
    assert nll(found) <= min(nll(t) for t in np.exp(np.linspace(-4, 4, 2000))) + 1e-9


def test_scaling_keeps_the_order_and_the_sum() -> None:
    logits, _ = example(1.0, 100)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for temperature in (0.3, 1.0, 4.0):
        scaled = scale_probabilities(p, temperature)
        np.testing.assert_allclose(scaled.sum(axis=1), 1)
        assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()
        exponents = np.exp(logits / temperature)
        expected = exponents / exponents.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scale_probabilities(np.eye(3), 1.0), np.eye(3), atol=1e-9)


def test_a_half_has_no_say_in_its_own_temperature() -> None:
    logits, labels = example(3.0, 200)
    before = cross_fitted_probabilities(logits, labels)
    changed = labels.copy()
    changed[0::2] = 0  # the even half's labels decide on the odd half alone
    after = cross_fitted_probabilities(logits, changed)
    np.testing.assert_array_equal(before[0::2], after[0::2])
    assert not np.array_equal(before[1::2], after[1::2])
