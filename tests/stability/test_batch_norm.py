"""The policies of batch norm: who moves, who holds, and what the gap tells."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sftcore.data.store import Store
from sftcore.models.network import Network
from sftcore.stability.batch_norm import (
    keep_statistics,
    moving_norms,
    normalized_by_batch,
    recalibrate,
    set_training_mode,
)
from sftcore.training import epoch_record
from tests.models.test_network import network
from tests.training.test_loop import run, same

POLICIES = ("train", "recalibrate", "freeze_statistics", "freeze_all")


@pytest.mark.parametrize("policy", ["freeze_statistics", "freeze_all"])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_a_frozen_network_is_the_same_in_both_modes_at_any_batch_size(
    policy: str, batch_size: int
) -> None:
    net = network()
    set_training_mode(net, batch_norm=policy, first_block=0)
    net.train()  # whoever asks for training mode again
    assert net.training
    pictures = torch.rand(7, 3, 32, 32)
    together = net(pictures)[:batch_size]
    assert torch.equal(net(pictures), net.eval()(pictures))
    net.train()
    torch.testing.assert_close(net(pictures[:batch_size]), together)
    assert not moving_norms(net)


def test_policies_go_by_type_and_not_by_name() -> None:
    net = network()
    net.backbone.oddly_called = nn.SyncBatchNorm(3)
    net.backbone.bn_in_name_only = nn.GroupNorm(1, 3)
    set_training_mode(net, batch_norm="freeze_all", first_block=-1)
    assert not net.backbone.oddly_called.training
    assert net.backbone.bn_in_name_only.training


def test_another_policy_lets_go_of_what_was_held() -> None:
    net = network()
    set_training_mode(net, batch_norm="freeze_all", first_block=0)
    set_training_mode(net, batch_norm="train", first_block=0)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    assert len(moving_norms(net)) == len(norms)


@pytest.mark.parametrize("backbone", ["timm/test_convnext", "timm/test_vit"])
def test_networks_without_batch_norm_are_untouched(backbone: str, store: Store) -> None:
    assert not [
        m for m in timm.create_model(backbone[5:]).modules() if isinstance(m, nn.BatchNorm2d)
    ]
    results = [
        run(store, model__backbone=backbone, train__batch_norm=policy, train__epochs=1)
        for policy in POLICIES
    ]
    assert all(same(results[0], other) for other in results[1:])
    assert results[0].history[0].batch_norm_gap == 0.0


def test_recalibration_gives_the_moments_of_the_whole_set_whatever_the_batches() -> None:
    """The first layer's inputs do not depend on the batches, so its statistics may not either."""
    pictures = torch.rand(23, 3, 32, 32)
    found = []
    for size in (23, 8, 4):
        net = network()
        torch.manual_seed(0)
        recalibrate(net, pictures.split(size), 0)
        first = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
        assert first.running_mean is not None
        assert first.running_var is not None
        found.append((first.running_mean.clone(), first.running_var.clone()))
    for mean, variance in found[1:]:
        torch.testing.assert_close(mean, found[0][0])
        torch.testing.assert_close(variance, found[0][1])


def test_recalibration_is_over_the_training_pictures_shuffled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def spy(net: Network, inputs: Any, first_block: int) -> None:
        seen.append([len(batch) for batch in inputs])

    orders: list[np.ndarray] = []
    original = epoch_record.split_batches

    def split_batches(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
        orders.append(rows)
        return original(rows, batch_size)

    monkeypatch.setattr(epoch_record, "split_batches", split_batches)
    monkeypatch.setattr(epoch_record, "recalibrate", spy)
    run(store, train__batch_norm="recalibrate", train__epochs=2)
    assert len(seen) == 2  # before each of the evaluations
    assert all(sum(sizes) == len(store.split("train")) and max(sizes) <= 9 for sizes in seen)
    for rows in np.stack(orders):
        assert sorted(rows) == store.split("train").tolist()
        assert rows.tolist() != sorted(rows)  # they lie class by class


def test_recalibrated_parameters_are_those_of_train(store: Store) -> None:
    """The policies differ in what is evaluated, not in what is trained."""
    precise = run(store, train__batch_norm="recalibrate")
    moving = run(store, train__batch_norm="train")
    assert precise.updates == moving.updates
    assert precise.history != moving.history


def test_the_gap_is_the_difference_of_two_losses_on_the_same_batches(store: Store) -> None:
    """After one update the running statistics are still the initial ones: the gap is large."""
    young = run(store, train__batch_norm="train", train__epochs=1, train__learning_rate=1e-6)
    precise = run(store, train__batch_norm="recalibrate", train__epochs=1,
                  train__learning_rate=1e-6)  # fmt: skip
    gaps = abs(young.history[0].batch_norm_gap), abs(precise.history[0].batch_norm_gap)
    assert gaps[0] > 0
    assert gaps[1] < gaps[0]
    frozen = run(store, train__batch_norm="freeze_statistics", train__epochs=1)
    assert frozen.history[0].batch_norm_gap == 0.0


def test_looking_by_the_batch_moves_nothing() -> None:
    net = network()
    net.head.dropout.p = 0.9
    set_training_mode(net, batch_norm="train", first_block=2)
    before = {name: b.clone() for name, b in net.named_buffers()}
    pictures = torch.rand(6, 3, 32, 32)
    with normalized_by_batch(net):
        assert not net.head.dropout.training
        norms = {name: m for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert {net.block_of(name) >= 2 for name, m in norms.items() if m.training} == {True}
        by_batch = net(pictures)
    by_running = net(pictures)
    assert not torch.equal(by_batch, by_running)
    assert all(torch.equal(before[name], b) for name, b in net.named_buffers())


def test_statistics_can_be_put_back() -> None:
    net = network()
    set_training_mode(net, batch_norm="train", first_block=0)
    before = {name: b.clone() for name, b in net.named_buffers()}
    put_back = keep_statistics(net)
    net(torch.full((4, 3, 32, 32), float("nan")))
    assert any(not torch.isfinite(b).all() for b in net.buffers())
    put_back()
    assert all(torch.equal(before[name], b) for name, b in net.named_buffers())
