"""Which epoch a training ends with, and what is measured on the way."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sftcore.data.portions import Portion
from sftcore.data.store import Store
from sftcore.foundations.runtime import set_up
from sftcore.tasks.classification.loss import row_losses
from sftcore.tasks.classification.task import ClassificationTask
from sftcore.training import loop
from sftcore.training.finish import is_beyond_noise
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.settings import SelectionSettings
from tests.training.test_loop import run, small

# Validation is best before the end.
TURNS_BACK = {
    "train__epochs": 8,
    "train__batch_norm": "recalibrate",
    "train__learning_rate": 0.1,
}

TASK = ClassificationTask(torch.zeros(0), ["a", "b", "c"], np.arange(0))


def predictions(seed: int, shift: float) -> tuple[Tensor, Tensor]:
    """Logits [40, 3] and labels, whose true class is raised by a shift."""
    stream = np.random.default_rng(seed)
    labels = torch.from_numpy(stream.integers(0, 3, 40))
    logits = torch.from_numpy(stream.normal(0, 1, (40, 3)))
    logits[torch.arange(40), labels] += shift
    return logits, labels


@pytest.mark.parametrize("seed", range(5))
def test_the_margin_is_in_standard_errors_of_the_paired_difference(seed: int) -> None:
    (best, labels), last = predictions(seed, 0.5), predictions(seed + 100, 0.0)[0]
    gains = (row_losses(last, labels) - row_losses(best, labels)).numpy()
    score = gains.mean() / (gains.std(ddof=1) / 40**0.5)
    assert score > 0
    assert is_beyond_noise(
        best, last, labels, SelectionSettings(metric="val_loss", margin=0.99 * score), TASK
    )
    assert not is_beyond_noise(
        best, last, labels, SelectionSettings(metric="val_loss", margin=1.01 * score), TASK
    )
    assert not is_beyond_noise(
        last, best, labels, SelectionSettings(metric="val_loss", margin=1.0), TASK
    )


def test_outputs_are_computed_once_where_the_chosen_parameters_are_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = loop.outputs_of, []

    def outputs_of(network: Any, inputs: Any, rows: np.ndarray, task: Any) -> Tensor:
        asked.append(len(rows))
        return original(network, inputs, rows, task)

    monkeypatch.setattr(loop, "outputs_of", outputs_of)
    params = small(**TURNS_BACK, train__selection__margin=50.0)
    result = train(
        store, params.model, params.train, task=params.task, seed=0, device=set_up("cpu", 1),
        cache=FeatureCache(1 << 28), on_epoch=lambda record: None, portion=Portion(0, 0.3, 0.3),
    ).result  # fmt: skip
    assert result.candidates[result.chosen].name == "last epoch"
    assert result.best_epoch < len(result.history) - 1
    assert len(asked) == 4, "the best and the last, on the rows that choose and on those that judge"
    assert result.best_judge_logits is not None
    assert result.judge_logits is not None
    assert not torch.equal(result.judge_logits, result.best_judge_logits)


def test_an_equal_number_of_right_pictures_is_not_beyond_noise() -> None:
    logits, labels = predictions(0, 1.0)
    surer = SelectionSettings(metric="val_accuracy", margin=1.0)
    assert not is_beyond_noise(2 * logits, logits, labels, surer, TASK)
    wrong = logits.roll(1, dims=1)
    assert is_beyond_noise(logits, wrong, labels, surer, TASK)


def test_the_last_epoch_is_kept_unless_an_earlier_one_is_better_beyond_noise(store: Store) -> None:
    best = run(store, **TURNS_BACK)
    assert best.best_epoch < len(best.history) - 1
    assert best.candidates[best.chosen].name == "best epoch"
    last = run(store, **TURNS_BACK, train__selection__margin=50.0)
    kept = last.candidates[last.chosen]
    assert (kept.name, kept.epochs) == ("last epoch", (len(last.history) - 1,))
    assert kept.val_loss == last.history[-1].val_loss
    assert last.best_epoch == best.best_epoch  # what was best is still told


def test_training_pictures_that_are_not_measured_change_nothing(store: Store) -> None:
    params = small(**TURNS_BACK)
    whole, thin = (
        train(
            store,
            params.model,
            params.train,
            task=params.task,
            seed=0,
            device=set_up("cpu", 1),
            cache=FeatureCache(1 << 28),
            on_epoch=lambda record: None,
            measure_every=every,
        ).result
        for every in (1, 3)
    )
    assert [math.isnan(r.train_loss) for r in thin.history] == [
        number % 3 != 0 and number != 7 for number in range(8)
    ]
    *before, last = [r.batch_norm_gap for r in thin.history]
    assert all(map(math.isnan, before))
    assert last == whole.history[-1].batch_norm_gap
    assert [r.val_loss for r in thin.history] == [r.val_loss for r in whole.history]
    assert thin.candidates == whole.candidates  # the kept epoch is measured at the end
