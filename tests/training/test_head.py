"""``train.head.method: solve``: where the head begins, and what stays as it is around it."""

import signal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sftcore.data.store import Store
from sftcore.evaluation.predict import look_at
from sftcore.evaluation.sight import PictureSight
from sftcore.foundations.artifacts import write_tensors
from sftcore.foundations.interruption import leave_on_signals
from sftcore.models.start import build_start
from sftcore.optimization.linear_head import STRENGTHS, LinearHead, solve_path
from sftcore.tasks.classification.loss import classification_loss, measure
from sftcore.training import epoch, loop
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import Trained, train
from tests.training.test_loop import same, small

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of weights, so that no seed decides the backbone."""
    start = build_start(
        backbone="timm/test_efficientnet", weights="none", num_classes=3, image_size=32,
        dropout=0.0, seed=0, device=CPU,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    write_tensors(path, start.network.backbone.state_dict())
    return str(path)


def run(
    store: Store,
    weights: str,
    *,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    cache: FeatureCache | None = None,
    **changes: Any,
) -> Trained:
    params = small(**{"model__weights": weights, "train__head__method": "solve"} | changes)
    return train(
        store, params.model, params.train, task=params.task, seed=seed, device=CPU,
        checkpoints=checkpoints, cache=cache or FeatureCache(1 << 28), on_epoch=lambda record: None,
    )  # fmt: skip


def parts(trained: Trained, store: Store) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Features of the backbone that training began with, and labels, of train and val."""
    start = build_start(
        backbone="timm/test_efficientnet", weights="none", num_classes=3, image_size=32,
        dropout=0.0, seed=0, device=CPU,
    )  # fmt: skip
    record = trained.start.record
    network = start.network.eval()
    features = look_at(network, store.images, PictureSight(record.mean, record.std)).features
    labels = torch.from_numpy(store.labels)
    return {name: (features[store.split(name)], labels[store.split(name)])
            for name in ("train", "val")}  # fmt: skip


def solved(
    known: dict[str, tuple[torch.Tensor, torch.Tensor]], smoothing: float = 0.0
) -> LinearHead:
    """The head that validation chooses."""
    features, labels = known["train"]
    loss_of = partial(classification_loss, targets=labels, label_smoothing=smoothing)
    val, own = known["val"]
    return min(solve_path(features, loss_of, 3), key=lambda head: measure(head.logits(val), own)[0])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_first_epoch_is_the_solved_head(store: Store, weights: str, smoothing: float) -> None:
    trained = run(store, weights, train__label_smoothing=smoothing)
    result, known = trained.result, parts(trained, store)
    assert [r.phase for r in result.history] == ["head", "full", "full"]
    assert [r.epoch for r in result.history] == [0, 1, 2]
    head = solved(known, smoothing)
    assert result.head is not None
    assert result.head.strength == head.strength
    val_loss, val_accuracy = measure(head.logits(known["val"][0]), known["val"][1])
    assert result.history[0].val_loss == pytest.approx(val_loss, rel=1e-5)
    assert result.history[0].scores["val_accuracy"] == val_accuracy
    train_loss, _ = measure(head.logits(known["train"][0]), known["train"][1])
    assert result.history[0].train_loss == pytest.approx(train_loss, rel=1e-4)
    assert set(result.updates.epoch) == {1.0, 2.0}  # the head takes no update


def test_a_strength_of_ones_own_is_not_chosen(store: Store, weights: str) -> None:
    for strength in (0.1, STRENGTHS[-1]):
        result = run(store, weights, train__head__strength=strength, train__epochs=0).result
        assert result.head is not None
        assert result.head.strength == strength


def test_without_epochs_it_is_logistic_regression(store: Store, weights: str) -> None:
    trained = run(store, weights, train__epochs=0, train__head__strength=0.01)
    result, known = trained.result, parts(trained, store)
    assert [r.phase for r in result.history] == ["head"]
    features, labels = (part.numpy() for part in known["train"])
    centred = features.astype(float) - features.astype(float).mean(axis=0)
    variance = float((centred**2).sum(axis=1).mean())
    theirs = LogisticRegression(
        C=1 / (0.01 * len(labels)), solver="newton-cg", tol=1e-12, max_iter=1000
    ).fit(centred / variance**0.5, labels)
    val = (known["val"][0].double().numpy() - features.astype(float).mean(axis=0)) / variance**0.5
    mine = torch.softmax(result.val_logits.double(), 1).numpy()
    np.testing.assert_allclose(mine, theirs.predict_proba(val), atol=1e-4)
    backbone = {n: t for n, t in result.chosen_state.items() if n.startswith("backbone.")}
    untouched = build_start(
        backbone="timm/test_efficientnet", weights=weights, num_classes=3, image_size=32,
        dropout=0.0, seed=5, device=CPU,
    ).network.state_dict()  # fmt: skip
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in backbone.items())


def test_no_seed_matters(store: Store, weights: str) -> None:
    changes = {"train__epochs": 0, "model__dropout": 0.5, "train__augmentation__strength": 1.0}
    first, other = (run(store, weights, seed=seed, **changes).result for seed in (0, 7))
    assert first.head == other.head
    for name in first.chosen_state:
        assert torch.equal(first.chosen_state[name], other.chosen_state[name]), name
    assert first.history[0].val_loss == other.history[0].val_loss


def test_shared_features_and_heads_change_no_bit(store: Store, weights: str) -> None:
    cache = FeatureCache(1 << 28)
    smooth = run(store, weights, cache=cache, train__label_smoothing=0.3).result
    assert len(cache.heads) == 1
    plain = run(store, weights, cache=cache).result
    assert len(cache.heads) == 2
    run(store, weights, cache=cache, seed=3, train__learning_rate=0.02)
    assert len(cache.heads) == 2
    assert same(plain, run(store, weights).result)
    assert same(smooth, run(store, weights, train__label_smoothing=0.3).result)
    assert same(plain, run(store, weights, cache=cache).result)


def test_wise_ft_begins_at_the_solved_head(store: Store, weights: str) -> None:
    # With statistics that move, even the start of the line gets those of this data.
    changes = {"train__batch_norm": "freeze_statistics"}
    result = run(store, weights, train__averaging__wise_ft=True, **changes).result
    line = [c for c in result.candidates if c.name == "wise_ft"]
    assert line[0].val_loss == pytest.approx(result.history[0].val_loss, rel=1e-5)
    alone = run(store, weights, train__epochs=0, **changes).result
    assert line[0].val_loss == pytest.approx(alone.history[0].val_loss, rel=1e-5)


@pytest.mark.parametrize("moving", ["freeze_statistics", "recalibrate", "train"])
def test_ended_anywhere_it_goes_on_to_the_same_bits(
    store: Store, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moving: str
) -> None:
    changes = {
        "train__averaging__wise_ft": True,
        "train__batch_norm": moving,
        "train__averaging__ema_decay": 0.5,
    }
    whole = run(store, weights, **changes).result
    checkpoints = Checkpoints(tmp_path / "key", 1e9)  # only a signal writes one
    solved_at: list[int] = []
    original_solve, original_step, steps = loop.solve_head, epoch.train_step, count()

    def solve_head(*args: Any) -> Any:
        solved_at.append(1)
        if len(solved_at) == 1:
            signal.raise_signal(signal.SIGTERM)  # before the head is solved
        return original_solve(*args)

    def train_step(*args: Any, **kwargs: Any) -> Any:
        if next(steps) in (0, 3):
            signal.raise_signal(signal.SIGTERM)
        return original_step(*args, **kwargs)

    monkeypatch.setattr(loop, "solve_head", solve_head)
    monkeypatch.setattr(epoch, "train_step", train_step)
    for _ in range(3):
        with pytest.raises(SystemExit), leave_on_signals():
            run(store, weights, checkpoints=checkpoints, **changes)
    ended = run(store, weights, checkpoints=checkpoints, **changes).result
    assert same(ended, whole)
    assert ended.head == whole.head
    assert len(solved_at) == 2, "a solved head is not solved again"
