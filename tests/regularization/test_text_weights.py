"""Mixout and layers that begin anew, against direct computations."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from sftcore.regularization.mixout import draw_mask, mix_weights, mixed_with_origin
from sftcore.regularization.reinitialize import reinitialize


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.norm = nn.LayerNorm(5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(torch.tanh(self.first(x))))


def small(seed: int) -> Small:
    torch.manual_seed(seed)
    return Small()


def test_mixed_weights_are_the_formula() -> None:
    stream = np.random.default_rng(0)
    w, w0, p = stream.normal(size=(4, 3)), stream.normal(size=(4, 3)), 0.7
    mask = stream.random((4, 3)) < p
    expected = (mask * w0 + (1 - mask) * w - p * w0) / (1 - p)
    given = [torch.from_numpy(x) for x in (w, w0, mask)]
    np.testing.assert_allclose(mix_weights(*given, p), expected, rtol=1e-12, atol=1e-12)
    trained = given[0].clone().requires_grad_()
    mix_weights(trained, given[1], given[2], p).sum().backward()
    assert trained.grad is not None
    np.testing.assert_allclose(trained.grad, (1 - mask) / (1 - p))
    still = mix_weights(given[1], given[1], given[2], p)
    assert torch.equal(still, given[1])  # nothing learnt, nothing mixed


def test_the_expectation_is_the_weight() -> None:
    w, w0 = torch.ones(200_000), torch.zeros(200_000)
    mask = draw_mask("a", w.shape, 0.6, seed=0, step=0)
    assert float(mask.float().mean()) == pytest.approx(0.6, abs=0.005)
    assert float(mix_weights(w, w0, mask, 0.6).mean()) == pytest.approx(1.0, abs=0.015)


def test_masks_are_functions_of_seed_step_and_name() -> None:
    shape = torch.Size([3, 40])

    def mask(name: str = "a", seed: int = 0, step: int = 5) -> torch.Tensor:
        return draw_mask(name, shape, 0.5, seed=seed, step=step)

    assert mask().shape == (1, 40)  # an input's weights fall back together
    torch.manual_seed(9)
    assert torch.equal(mask(), mask())
    for other in (mask("b"), mask(seed=1), mask(step=6)):
        assert not torch.equal(other, mask())


def test_a_network_computes_with_mixed_weights_and_learns_its_own() -> None:
    network, origin = small(0), small(1)
    names = ["first.weight", "norm.weight", "last.bias"]
    origins = {name: origin.get_parameter(name).detach() for name in names}
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    order = [name for name, _ in network.named_parameters()]
    x = torch.randn(7, 6)
    with mixed_with_origin(network, origins, 0.4, seed=2, step=3):
        output = network(x)
        output.square().sum().backward()
    twin = small(0)
    mixed, factors = {}, {}
    for name in names:
        mask = draw_mask(name, origins[name].shape, 0.4, seed=2, step=3).float()
        mask = mask.expand_as(origins[name])
        w, w0 = before[name], origins[name]
        mixed[name] = (mask * w0 + (1 - mask) * w - 0.4 * w0) / 0.6
        factors[name] = (1 - mask) / 0.6
    twin.load_state_dict(before | mixed)
    expected = twin(x)
    expected.square().sum().backward()
    assert torch.allclose(output, expected, atol=1e-6)
    assert [name for name, _ in network.named_parameters()] == order
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is not None
        theirs = twin.get_parameter(name).grad
        assert theirs is not None
        factor = factors.get(name, torch.ones(()))
        assert torch.allclose(parameter.grad, theirs * factor, rtol=1e-4, atol=1e-5), name


def test_mixout_that_is_off_does_nothing_and_an_error_puts_everything_back() -> None:
    network, origin = small(0), small(1)
    origins = {"first.weight": origin.first.weight}
    weight = network.first.weight
    with mixed_with_origin(network, origins, 0.0, seed=0, step=0):
        assert network.first.weight is weight
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        mixed_with_origin(network, origins, 0.5, seed=0, step=0),
    ):
        network(torch.ones(2, 7))
    assert network.first.weight is weight


def test_layers_begin_anew() -> None:
    network = nn.ModuleDict({"a": small(0), "b": small(1)})
    layer = nn.Linear(300, 200)
    kept = {name: p.clone() for name, p in network["a"].named_parameters()}
    with torch.no_grad():
        for parameter in network["b"].parameters():
            parameter.fill_(7.0)
    state = torch.get_rng_state()
    reinitialize({"b": network["b"], "c": layer}, 0.02, seed=4)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, kept[name]) for name, p in network["a"].named_parameters())
    anew = dict(network["b"].named_parameters())
    assert not anew["first.bias"].any()
    assert not anew["norm.bias"].any()
    assert torch.equal(anew["norm.weight"], torch.ones(5))
    assert anew["first.weight"].abs().max() < 0.1
    assert kstest(layer.weight.detach().numpy().ravel() / 0.02, "norm").pvalue > 1e-3
    before = {name: p.clone() for name, p in anew.items()}
    reinitialize({"b": network["b"]}, 0.02, seed=4)
    assert all(torch.equal(p, before[name]) for name, p in anew.items())
    reinitialize({"b": network["b"]}, 0.02, seed=5)
    assert not torch.equal(anew["first.weight"], before["first.weight"])
    assert not torch.equal(anew["first.weight"].flatten()[:10], anew["last.weight"].flatten())


def test_a_parameter_without_a_rule_is_named() -> None:
    with pytest.raises(TypeError, match=r"x.weight_ih_l0 of a LSTM has no rule"):
        reinitialize({"x": nn.LSTM(2, 2)}, 0.02, seed=0)
