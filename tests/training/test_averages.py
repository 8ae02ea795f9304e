"""What is averaged, measured and chosen at the end; what is trained when."""

from typing import Any

import pytest
import torch
from torch import nn

from sftcore.data.store import Store
from sftcore.models.network import Network
from sftcore.stability.batch_norm import recalibrate
from sftcore.training import epoch as epoch_module
from sftcore.training.inputs import FeatureCache
from sftcore.training.planning import plan_phases
from sftcore.training.recipe import train
from sftcore.training.records import FitResult
from tests.training.test_loop import run, small


def candidate(result: FitResult, name: str) -> Any:
    return next(c for c in result.candidates if c.name == name)


def test_without_averages_the_best_epoch_is_chosen(store: Store) -> None:
    result = run(store)
    assert [c.name for c in result.candidates] == ["best epoch"]
    assert result.chosen == 0
    assert result.candidates[0].val_loss == result.best.val_loss
    assert all(torch.equal(result.chosen_state[n], t) for n, t in result.best_state.items())


def test_wise_ft_goes_from_the_trained_head_to_the_chosen_state(store: Store) -> None:
    result = run(store, train__averaging__wise_ft=True, train__head__epochs=2, train__epochs=3)
    line = [c for c in result.candidates if c.name == "wise_ft"]
    assert [c.alpha for c in line] == [n / 10 for n in range(11)]
    head = result.history[1]  # the head phase's last epoch is the start of the line
    assert line[0].val_loss == pytest.approx(head.val_loss, rel=1e-6)
    assert line[-1].val_loss == pytest.approx(result.best.val_loss, rel=1e-6)
    chosen = result.candidates[result.chosen]
    assert chosen.val_loss == min(c.val_loss for c in result.candidates)


def test_swa_is_the_mean_over_its_epochs(store: Store) -> None:
    """With the same seed a shorter training at a constant rate is the beginning of the longer."""
    states = []
    for num_epochs in (2, 3, 4):
        params = small(train__schedule__name="constant", train__epochs=num_epochs)
        trained = train(
            store, params.model, params.train, task=params.task, seed=0, device=torch.device("cpu"),
            cache=FeatureCache(0), on_epoch=lambda record: None,
        )  # fmt: skip
        states.append(trained.start.network.state_dict())
    captured: dict[str, torch.Tensor] = {}
    params = small(
        train__schedule__name="constant", train__epochs=4, train__averaging__swa_fraction=0.75
    )
    from sftcore.training import loop

    original = loop.choose_parameters

    def spy(state: Any, *rest: Any) -> None:
        captured.update({name: t.clone() for name, t in state.averages.swa.items()})
        assert state.averages.swa_epochs == [1, 2, 3]
        original(state, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "choose_parameters", spy)
        train(
            store, params.model, params.train, task=params.task, seed=0, device=torch.device("cpu"),
            cache=FeatureCache(0), on_epoch=lambda record: None,
        )  # fmt: skip
    for name, tensor in captured.items():
        if tensor.is_floating_point():
            mean = torch.stack([state[name] for state in states]).double().mean(0)
            torch.testing.assert_close(tensor.double(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("fraction", "epochs"), [(1.0, (2, 3, 4)), (0.5, (3, 4)), (0.01, (4,))])
def test_swa_averages_within_the_last_phase(
    store: Store, fraction: float, epochs: tuple[int, ...]
) -> None:
    """The head phase trains other parameters, towards another end."""
    result = run(
        store, train__averaging__swa_fraction=fraction, train__head__epochs=2, train__epochs=3
    )
    assert candidate(result, "swa").epochs == epochs


def test_swa_counts_from_the_end_where_the_head_phase_stops_early(store: Store) -> None:
    changes = {"train__head__epochs": 9, "train__head__learning_rate": 1e-12, "train__epochs": 3}
    patience = {"train__stopping__patience": 2, "train__stopping__min_change": 0.5}
    result = run(store, train__averaging__swa_fraction=0.2, **changes, **patience)
    phases = [record.phase for record in result.history]
    assert phases == ["head"] * 3 + ["full"] * 3
    assert candidate(result, "swa").epochs == (4, 5)


def test_the_soup_is_no_worse_than_its_best_epoch(store: Store) -> None:
    result = run(store, train__averaging__soup_size=3, train__epochs=5)
    soup = candidate(result, "soup")
    assert soup.epochs[0] == result.best_epoch
    assert soup.val_loss <= result.best.val_loss
    assert len(result.candidates) == 2


def test_ema_is_what_is_measured_and_the_raw_network_is_trained_on(store: Store) -> None:
    plain = run(store, train__schedule__name="constant")
    averaged = run(store, train__schedule__name="constant", train__averaging__ema_decay=0.9)
    assert [r.gradient_norm for r in plain.history] == [r.gradient_norm for r in averaged.history]
    assert plain.history[-1].val_loss != averaged.history[-1].val_loss
    assert averaged.history[-1].weight_distance < plain.history[-1].weight_distance


def test_recalibrated_statistics_are_those_of_the_batches() -> None:
    from tests.models.test_network import network

    net: Network = network()
    batches = [torch.rand(count, 3, 32, 32) for count in (8, 8, 3)]
    first = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    recalibrate(net, batches, 0)
    handle.remove()
    together = torch.cat(seen)
    torch.testing.assert_close(first.running_mean, together.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(first.running_var, together.var(dim=(0, 2, 3)))
    assert not net.training
    assert first.momentum == 0.1
    kept = {n: t.clone() for n, t in net.state_dict().items()}
    recalibrate(net, [net.run_blocks(batches[0], 0, 2)], 2)
    changed = {net.block_of(n) for n, t in net.state_dict().items() if not torch.equal(kept[n], t)}
    assert min(changed) == 2


def test_blocks_thaw_one_after_the_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    original = epoch_module.freeze_all_but

    def spy(claims: Any, first_block: int) -> Any:
        active = original(claims, first_block)
        trained.append(len({claim.depth for claim in active}))
        assert {c.depth for c in claims if c.parameter.requires_grad} == {c.depth for c in active}
        return active

    monkeypatch.setattr(epoch_module, "freeze_all_but", spy)
    run(store, train__unfreeze_every_epochs=2, train__epochs=6)
    assert trained == [2, 2, 3, 3, 4, 4]  # the head and one block more every second epoch
    phase = plan_phases(
        small(train__unfreeze_every_epochs=1, model__trainable_blocks=2).model,
        small(train__unfreeze_every_epochs=1, model__trainable_blocks=2).train, 6,
    )[-1]  # fmt: skip
    assert [phase.first_block_at(e, 6) for e in range(4)] == [5, 4, 4, 4]


def test_rates_fall_from_the_head_to_the_first_block(store: Store) -> None:
    params = small(train__layer_rate_decay=0.5, train__epochs=1)
    trained = train(
        store, params.model, params.train, task=params.task, seed=0, device=torch.device("cpu"),
        cache=FeatureCache(0), on_epoch=lambda record: None,
    )  # fmt: skip
    rates = [float(line.split()[-1]) for line in trained.claims.splitlines()[1:]]
    assert rates == pytest.approx([0.5**depth for depth in range(7, -1, -1)], rel=1e-2)
