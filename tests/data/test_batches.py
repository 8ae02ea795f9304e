import numpy as np
import torch

from sftcore.data.loader import (
    count_occurrences,
    epoch_order,
    normalize,
    rows_of,
    split_batches,
    to_unit_range,
)
from sftcore.data.pictures.augment import NUM_UNIFORMS, augment, epoch_uniforms

WHITE = torch.ones(3)


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def numbers(count: int = 6, epoch: int = 0) -> torch.Tensor:
    return torch.from_numpy(epoch_uniforms(np.arange(count), 0, epoch))


def test_strength_zero_is_the_picture_itself() -> None:
    images = pictures()
    assert augment(images, numbers(), 0.0, WHITE) is images


def test_each_picture_is_changed_by_its_own_numbers_alone() -> None:
    images, uniforms = pictures(), numbers()
    together = augment(images, uniforms, 0.7, WHITE)
    order = torch.tensor([3, 0, 5])
    torch.testing.assert_close(together[order], augment(images[order], uniforms[order], 0.7, WHITE))
    assert not torch.equal(together[0], together[1])
    assert (together >= 0).all()
    assert (together <= 1).all()


def test_epochs_and_seeds_draw_other_numbers() -> None:
    rows = np.array([3, 0, 5, 2])
    assert not np.array_equal(epoch_uniforms(rows, 0, 0), epoch_uniforms(rows, 0, 1))
    assert not np.array_equal(epoch_uniforms(rows, 0, 0), epoch_uniforms(rows, 1, 0))
    np.testing.assert_array_equal(epoch_uniforms(rows, 0, 1), epoch_uniforms(rows, 0, 1))


def test_a_row_drawn_again_is_another_draw_of_the_same_row() -> None:
    order = np.array([5, 3, 5, 5, 0, 3])
    drawn = count_occurrences(order)
    np.testing.assert_array_equal(rows_of(drawn), order)
    np.testing.assert_array_equal(drawn >> 32, [0, 0, 1, 2, 0, 1])
    assert len(np.unique(epoch_uniforms(drawn, 0, 0), axis=0)) == 6
    once = np.array([5, 3, 0])
    np.testing.assert_array_equal(count_occurrences(once), once)
    assert count_occurrences(np.array([], dtype=np.int64)).size == 0


def test_a_mirror_image_and_nothing_else() -> None:
    uniforms = torch.full((1, NUM_UNIFORMS), 0.5)
    uniforms[0, 0] = 0.0
    images = pictures(1)
    torch.testing.assert_close(augment(images, uniforms, 1.0, WHITE), images.flip(3))


def test_what_shifting_uncovers_is_background() -> None:
    uniforms = torch.full((1, NUM_UNIFORMS), 0.5)
    uniforms[0, 3] = 0.0  # shift along x by the most
    shifted = augment(torch.zeros(1, 3, 16, 16), uniforms, 1.0, torch.tensor([0.2, 0.4, 0.6]))
    corner = torch.cat([shifted[0, :, 8, 0], shifted[0, :, 8, -1]])
    assert any(torch.allclose(part, torch.tensor([0.2, 0.4, 0.6])) for part in corner.split(3))


def test_order_is_a_permutation_by_seed_and_epoch() -> None:
    rows = np.arange(100, 130)
    first = epoch_order(rows, 0, 0)
    assert sorted(first.tolist()) == rows.tolist()
    np.testing.assert_array_equal(first, epoch_order(rows, 0, 0))
    assert first.tolist() != epoch_order(rows, 0, 1).tolist()
    assert first.tolist() != epoch_order(rows, 1, 0).tolist()


def test_batches_hold_every_row_once_and_never_one_alone() -> None:
    assert [len(b) for b in split_batches(np.arange(10), 4)] == [4, 4, 2]
    assert [len(b) for b in split_batches(np.arange(9), 4)] == [4, 5]
    assert [len(b) for b in split_batches(np.arange(1), 4)] == [1]
    np.testing.assert_array_equal(np.concatenate(split_batches(np.arange(9), 4)), np.arange(9))


def test_pictures_are_scaled_and_centred() -> None:
    images = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    images[..., 0] = 255
    tensor = to_unit_range(images, torch.device("cpu"))
    assert tensor.shape == (1, 3, 2, 2)
    centred = normalize(tensor, (0.5, 0.5, 0.5), (0.5, 0.25, 0.5))
    assert centred[0, :, 0, 0].tolist() == [1.0, -2.0, -1.0]
