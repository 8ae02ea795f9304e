"""Mixing, averages, sharpness, imbalance and Co-Tuning against independent computations."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from sftcore.data.loader import epoch_order, rows_of
from sftcore.data.pictures.augment import (
    AugmentationSettings,
    augment_by_policy,
    draw_erasing,
    erase,
)
from sftcore.regularization.averaging import (
    ema_decay_at,
    greedy_soup,
    interpolate,
    mean_state,
    update_average,
)
from sftcore.regularization.co_tuning import category_relationship, co_tuning_loss
from sftcore.regularization.imbalance import class_weights, logit_offsets, sampling_probabilities
from sftcore.regularization.mixing import draw_mixing, mix_pictures, mix_targets
from sftcore.regularization.sharpness import moved_uphill
from sftcore.tasks.classification.loss import classification_loss

ROWS = np.arange(2, 42)  # of a store of 50


def mixing(mixup: float, cutmix: float, epoch: int = 0, rows: np.ndarray = ROWS):  # type: ignore[no-untyped-def]
    return draw_mixing(rows, ROWS, 16, mixup_alpha=mixup, cutmix_alpha=cutmix, seed=3, epoch=epoch)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_is_its_formula_picture_by_picture(mixup: float, cutmix: float) -> None:
    batch = np.array([7, 2, 30, 30 + (1 << 32)])
    draw = mixing(mixup, cutmix, rows=batch)
    images = torch.rand(50, 3, 16, 16, dtype=torch.float64)
    labels, rows = torch.arange(50) % 4, rows_of(batch)
    mixed = mix_pictures(images[rows], images[draw.partners], draw)
    targets = mix_targets(labels, draw, rows, 4)
    for place, row in enumerate(rows):
        own, other = images[row], images[draw.partners[place]]
        share = float(draw.shares[place])
        if draw.is_cut[place]:
            top, bottom, left, right = draw.boxes[place]
            expected = own.clone()
            expected[:, top:bottom, left:right] = other[:, top:bottom, left:right]
            assert share == pytest.approx(1 - (bottom - top) * (right - left) / 256)
        else:
            expected = share * own + (1 - share) * other
        torch.testing.assert_close(mixed[place], expected)
        wanted = np.zeros(4)
        wanted[labels[row]] += share
        wanted[labels[draw.partners[place]]] += 1 - share
        assert targets[place].tolist() == pytest.approx(wanted.tolist())
    is_cut = mixing(mixup, cutmix).is_cut
    assert (is_cut.all(), is_cut.any()) == ((cutmix > 0 and not mixup), cutmix > 0)


def test_mixing_stays_inside_the_training_rows_and_depends_on_nothing_else() -> None:
    draw, later = mixing(1.0, 1.0), mixing(1.0, 1.0, epoch=1)
    assert set(draw.partners) <= set(ROWS)
    assert (draw.partners != later.partners).any()
    batch = np.array([11, 4])
    again = mixing(1.0, 1.0, rows=batch)
    for name, of_all in vars(draw).items():
        np.testing.assert_array_equal(vars(again)[name], of_all[batch - 2])


def test_every_training_row_is_as_likely_a_partner() -> None:
    rows, pool = np.arange(40_000), np.array([3, 8, 9, 12])
    draw = draw_mixing(rows, pool, 16, mixup_alpha=1.0, cutmix_alpha=0.0, seed=0, epoch=0)
    counts = [(draw.partners == row).mean() for row in pool]
    assert counts == pytest.approx([0.25] * 4, abs=0.01)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_shares_have_the_distribution_of_the_papers(mixup: float, cutmix: float) -> None:
    rows = np.arange(20_000)
    draw = draw_mixing(rows, rows, 224, mixup_alpha=mixup, cutmix_alpha=cutmix, seed=0, epoch=0)
    if mixup:
        assert draw.shares.mean() == pytest.approx(0.5, abs=0.01)
        assert draw.shares.var() == pytest.approx(1 / (4 * (2 * mixup + 1)), abs=0.005)
        assert stats.kstest(draw.shares, stats.beta(mixup, mixup).cdf).pvalue > 1e-3
    else:  # uniform λ, then clipped at the border: what stays is more than one half
        sides = np.sqrt(1 - np.random.default_rng(0).random(20_000))
        centres = np.random.default_rng(1).random((20_000, 2))
        low = np.clip(centres - sides[:, None] / 2, 0, 1)
        high = np.clip(centres + sides[:, None] / 2, 0, 1)
        assert draw.shares.mean() == pytest.approx(1 - (high - low).prod(axis=1).mean(), abs=0.01)


def test_gradient_through_mixed_and_weighted_targets() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.softmax(torch.randn(5, 3, dtype=torch.float64), dim=1)
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    exponents = logits.detach().exp()
    log_p = (exponents / exponents.sum(1, keepdim=True)).log()
    smooth = 0.9 * targets + 0.1 / 3
    plain = -(smooth * log_p).sum(1).mean()
    weighted = -(weights * smooth * log_p).sum(1).mean()
    assert float(classification_loss(logits, targets, 0.1).detach()) == pytest.approx(float(plain))
    ours = classification_loss(logits, targets, 0.1, weights)
    assert float(ours.detach()) == pytest.approx(float(weighted))
    hard = torch.tensor([0, 2, 1, 1, 0])
    one_hot = torch.eye(3, dtype=torch.float64)[hard]
    torch.testing.assert_close(
        classification_loss(logits, hard, 0.1, weights),
        classification_loss(logits, one_hot, 0.1, weights),
    )
    assert torch.autograd.gradcheck(lambda x: classification_loss(x, targets, 0.1, weights), logits)


def test_class_weights_and_chances_even_the_classes_out() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    counts = np.bincount(labels)
    weights = class_weights(counts, 1.0)
    assert (weights * counts).tolist() == pytest.approx([100 / 3] * 3)
    assert class_weights(counts, 0.0).tolist() == [1.0] * 3
    assert (class_weights(counts, 0.5) * counts).sum() == pytest.approx(100)
    chances = sampling_probabilities(labels, 3, 1.0)
    assert [chances[labels == c].sum() for c in range(3)] == pytest.approx([1 / 3] * 3)
    half = sampling_probabilities(labels, 3, 0.5)
    assert half[labels == 0].sum() / half[labels == 2].sum() == pytest.approx(6**0.5)
    drawn = epoch_order(np.arange(100), 0, 0, chances)
    assert len(drawn) == 100
    many = np.concatenate([epoch_order(np.arange(100), 0, e, chances) for e in range(200)])
    assert np.bincount(labels[many]) / len(many) == pytest.approx([1 / 3] * 3, abs=0.02)


def test_logit_adjustment_is_bayes_rule() -> None:
    """A network that knows p(x|y) up to a constant needs only the prior: log p(y|x) is its sum."""
    counts = np.array([60, 30, 10])
    likelihood = np.array([0.2, 0.5, 0.3])
    joint = likelihood * counts
    logits = torch.from_numpy(np.log(likelihood) + logit_offsets(counts, 1.0))
    assert torch.softmax(logits, 0).tolist() == pytest.approx((joint / joint.sum()).tolist())


def test_co_tuning_is_its_formula() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 2, 2, 2, 0])
    p = torch.softmax(logits, 1).detach().numpy()
    relation = category_relationship(logits.detach(), labels, 4)
    np.testing.assert_allclose(relation[0], p[[0, 1, 5]].mean(0))
    np.testing.assert_allclose(relation[2], p[2:5].mean(0))
    np.testing.assert_allclose(relation[[1, 3]], 1 / 5)
    wanted = relation[labels]
    expected = -(wanted.numpy() * np.log(p)).sum(1).mean()
    assert float(co_tuning_loss(logits, wanted).detach()) == pytest.approx(expected)
    assert torch.autograd.gradcheck(lambda x: co_tuning_loss(x, wanted), logits)


def test_sam_takes_the_gradient_at_the_worst_neighbour_and_comes_back() -> None:
    theta = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    frozen = nn.Parameter(torch.ones(1, dtype=torch.float64))
    before, rho = theta.detach().clone(), 0.3

    def gradient() -> torch.Tensor:
        theta.grad = None
        (theta**4).sum().backward()
        return theta.grad.clone()  # type: ignore[union-attr]

    first = gradient()
    with moved_uphill([theta, frozen], rho, first.norm()):
        at_neighbour = gradient()
        assert float((theta.detach() - before).norm()) == pytest.approx(rho)
    away = before.numpy() + rho * first.numpy() / np.linalg.norm(first.numpy())
    np.testing.assert_allclose(at_neighbour, 4 * away**3, rtol=1e-12)
    assert torch.equal(theta.detach(), before)
    theta.grad = torch.zeros(3, dtype=torch.float64)
    with moved_uphill([theta], rho, torch.zeros(())):
        assert torch.equal(theta.detach(), before)


def state(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), value, dtype=torch.float64), "n": torch.tensor(int(value))}


def test_averages_are_their_formulas() -> None:
    average, expected = state(1.0), 1.0
    for step, value in enumerate([2.0, 5.0, -1.0]):
        decay = ema_decay_at(step, 0.99)
        assert decay == (1 + step) / (10 + step)
        update_average(average, state(value), 1 - decay)
        expected = decay * expected + (1 - decay) * value
    assert average["w"].tolist() == pytest.approx([expected] * 3, rel=1e-14)
    assert int(average["n"]) == -1
    assert ema_decay_at(10**6, 0.99) == 0.99
    assert mean_state([state(1.0), state(2.0), state(6.0)])["w"].tolist() == pytest.approx(
        [3.0] * 3
    )


def test_interpolation_ends_exactly_at_its_ends() -> None:
    start, end = {"w": torch.rand(50)}, {"w": torch.rand(50)}
    assert torch.equal(interpolate(start, end, 0.0)["w"], start["w"])
    assert torch.equal(interpolate(start, end, 1.0)["w"], end["w"])
    torch.testing.assert_close(interpolate(start, end, 0.3)["w"], 0.7 * start["w"] + 0.3 * end["w"])


def test_greedy_soup_takes_only_what_helps() -> None:
    best = [float("inf")]

    def is_no_worse(mixed: dict[str, torch.Tensor]) -> bool:
        loss = abs(float(mixed["w"][0]) - 2.0)
        if loss > best[0]:
            return False
        best[0] = loss
        return True

    # 1 is kept; with 5 the mean is 3: no worse; with 9 it is 5: worse; with 0 it is 2: better.
    assert greedy_soup([state(1.0), state(5.0), state(9.0), state(0.0)], is_no_worse) == [0, 1, 3]


def test_erasing_paints_what_it_says() -> None:
    boxes = draw_erasing(np.arange(4000), 32, 0.5, seed=0, epoch=0)
    size = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    assert (size > 0).mean() == pytest.approx(0.5, abs=0.03)
    area = size[size > 0] / 32**2
    assert 0.01 < area.min() < area.max() < 0.45
    assert boxes.min() >= 0
    assert boxes.max() <= 32
    assert (boxes == draw_erasing(np.arange(4000), 32, 0.5, seed=0, epoch=0)).all()
    assert (boxes != draw_erasing(np.arange(4000), 32, 0.5, seed=0, epoch=1)).any()
    images = torch.rand(2, 3, 8, 8)
    painted = erase(images, torch.tensor([[1, 3, 2, 6], [0, 0, 0, 0]]), torch.tensor([2.0, 3, 4]))
    expected = images.clone()
    expected[0, :, 1:3, 2:6] = torch.tensor([2.0, 3, 4])[:, None, None]
    assert torch.equal(painted, expected)


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_a_picture_s_policy_depends_on_its_own_row_alone(policy: str) -> None:
    how = AugmentationSettings(policy=policy, strength=0.5)
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    rows = np.arange(6)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    together = augment_by_policy(images, rows, how, 0, 2, (255, 255, 255))
    assert torch.equal(torch.get_rng_state(), before)
    turned = augment_by_policy(images.flip(0), rows[::-1].copy(), how, 0, 2, (255, 255, 255))
    assert torch.equal(together, turned.flip(0))
    assert not torch.equal(together, augment_by_policy(images, rows, how, 0, 3, (0, 0, 0)))
    unchanged = [torch.equal(a, b) for a, b in zip(together, images, strict=True)]
    assert not all(unchanged)
