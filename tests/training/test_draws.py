"""What a batch draws: its own rows alone, and a row that is drawn again once more."""

import numpy as np
import pytest
import torch

from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.store import Store
from sftcore.foundations import randomness
from sftcore.training import epoch as epoch_module
from sftcore.training.inputs import FeatureCache
from sftcore.training.views import Pictures
from tests.training.test_loop import run, same

EVERYTHING = [
    AugmentationSettings(strength=0.5, erasing=0.9, mixup=0.4, cutmix=1.0),
    AugmentationSettings(policy="randaugment", strength=0.5),
]


def pictures_of(num: int) -> Pictures:
    images = np.random.default_rng(0).integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    return Pictures(images, (0.5,) * 3, (0.2,) * 3, (255, 255, 255), torch.device("cpu"))


@pytest.mark.parametrize("how", EVERYTHING, ids=["all", "policy"])
def test_a_row_drawn_twice_is_two_pictures_and_the_first_is_that_of_an_unrepeated_row(
    how: AugmentationSettings,
) -> None:
    pictures, rows = pictures_of(20), np.arange(20)
    view = pictures.view(how, rows, seed=0, epoch=1)
    first, second, other = pictures.read(np.array([4, 4 + (1 << 32), 5]), view)
    assert torch.equal(first, pictures.read(np.array([4]), view)[0])
    assert not torch.equal(first, second)
    assert not torch.equal(second, other)


def test_a_batch_draws_numbers_for_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows the store has: else an epoch costs the square of its pictures."""
    asked: list[int] = []
    original = randomness.philox

    def counting(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
        asked.append(counter[0].size)
        return original(counter, key)

    monkeypatch.setattr(randomness, "philox", counting)
    costs = []
    for num in (40, 4000):
        asked.clear()
        pictures = pictures_of(num)
        view = pictures.view(EVERYTHING[0], np.arange(num), seed=0, epoch=0)
        assert asked == []
        pictures.read(np.arange(8), view)
        costs.append(sum(asked))
    assert 0 < costs[0] == costs[1]


def spied_batches(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    seen: list[np.ndarray] = []
    original = epoch_module.split_batches

    def spy(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
        seen.append(rows)
        return original(rows, batch_size)

    monkeypatch.setattr(epoch_module, "split_batches", spy)
    return seen


FROZEN = {
    "model__trainable_blocks": 1,
    "train__augmentation__mixup": 0.5,
    "train__augmentation__strength": 0.5,
}


def test_only_sampled_and_augmented_rows_are_told_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied_batches(monkeypatch)
    run(store, train__augmentation__strength=0.5)
    run(store, train__imbalance__balanced_sampling=1.0)
    assert max(rows.max() for rows in seen) < len(store.images)
    seen.clear()
    run(store, train__augmentation__strength=0.5, train__imbalance__balanced_sampling=1.0)
    assert all(rows.max() >= 1 << 32 for rows in seen)
    assert all(len(np.unique(rows)) == len(rows) for rows in seen)


def test_features_that_are_kept_are_those_that_are_computed(store: Store) -> None:
    """Sampled, augmented and mixed, with frozen blocks: the same with and without room for them."""
    changes = {**FROZEN, "train__imbalance__balanced_sampling": 1.0}
    cache = FeatureCache(1 << 28)
    kept = run(store, cache, **changes)
    assert cache.values
    assert same(kept, run(store, cache, **changes))
    without = run(store, FeatureCache(0), **changes)
    losses = [record.val_loss for record in kept.history]
    assert losses == pytest.approx([r.val_loss for r in without.history], rel=1e-4)
