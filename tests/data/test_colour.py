import numpy as np
import pytest
import torch

from sftcore.data.pictures.augment import AugmentationSettings, augment, epoch_uniforms
from sftcore.data.pictures.colour import recolour, recolour_by_policy

COUNT, SIDE = 60, 16
ROWS = np.arange(COUNT)
WHITE = torch.ones(3)


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def numbers() -> torch.Tensor:
    return torch.from_numpy(epoch_uniforms(ROWS, 0, 0))


def test_colours_are_those_of_augmentation() -> None:
    """A picture of one colour looks the same wherever it is moved to, on its own background."""
    plain = torch.full((COUNT, 3, SIDE, SIDE), 0.4)
    moved = augment(plain, numbers(), 0.9, torch.full((3,), 0.4))
    torch.testing.assert_close(recolour(plain, numbers(), 0.9), moved)
    assert moved.flatten(1).mean(dim=1).std() > 0.05


def test_brightness_contrast_and_saturation_and_no_place() -> None:
    images, strength = pictures().float() / 255, 0.6
    factors = 1 + (2 * numbers().numpy()[:, 5:] - 1) * strength * 0.4
    for image, (brightness, contrast, saturation), found in zip(
        images.numpy(), factors, recolour(images, numbers(), strength).numpy(), strict=True
    ):
        bright = image * brightness
        apart = bright.mean() + (bright - bright.mean()) * contrast
        grey = apart.mean(axis=0)
        expected = np.clip(grey + (apart - grey) * saturation, 0, 1)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_a_policy_changes_colours_and_moves_nothing(policy: str) -> None:
    """Operations that move something do not commute with turning the picture around."""
    how = AugmentationSettings(strength=1.0, policy=policy)
    images = pictures()
    changed = recolour_by_policy(images, ROWS, how, 0, 0)
    assert changed.dtype == torch.uint8
    assert (changed != images).flatten(1).any(dim=1).float().mean() > 0.6
    for around in ((3,), (2,)):
        turned = recolour_by_policy(images.flip(around), ROWS, how, 0, 0)
        assert torch.equal(turned.flip(around), changed)


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_each_row_has_a_draw_of_its_own(policy: str) -> None:
    how = AugmentationSettings(strength=0.7, policy=policy)
    images = pictures()
    state = torch.random.get_rng_state()
    changed = recolour_by_policy(images, ROWS, how, 0, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    for some in ([5], [59, 0, 7]):
        assert torch.equal(recolour_by_policy(images[some], ROWS[some], how, 0, 0), changed[some])
    assert not torch.equal(recolour_by_policy(images, ROWS, how, 0, 1), changed)
    assert not torch.equal(recolour_by_policy(images, ROWS, how, 1, 0), changed)
    assert not torch.equal(recolour_by_policy(images, ROWS + (1 << 32), how, 0, 0), changed)


def test_strength_zero_is_the_pictures_themselves() -> None:
    images = pictures()
    for policy in ("randaugment", "trivialaugment"):
        off = AugmentationSettings(strength=0.0, policy=policy)
        assert recolour_by_policy(images, ROWS, off, 0, 0) is images
    floats = images.float() / 255
    assert recolour(floats, numbers(), 0.0) is floats
