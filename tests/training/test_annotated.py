"""Pictures with masks and boxes in an epoch: what is annotated goes where the pixels go."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from sftcore.data.loader import count_occurrences
from sftcore.data.pictures.annotated import NO_BOX, padded_boxes
from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.pictures.scenes import Scenes
from sftcore.data.store import Store
from sftcore.foundations.masks import IGNORED
from sftcore.models.values import to_bytes
from sftcore.training import epoch
from sftcore.training.annotated import AnnotatedPictures
from sftcore.training.inputs import FeatureCache, Inputs
from sftcore.training.recipe import prepare_training
from sftcore.training.views import PLAIN, Pictures, View
from tests.data.painted import BACKGROUND, boxes_of, paint
from tests.training.test_every_task import BOXES, DENSE, DEVICE, MASKS, run, settings, store_of

SIDE, NUM = 32, 40
NAMES = ("background", "a", "b", "c")
ROWS = np.arange(NUM)
POLICIES = ("basic", "randaugment", "trivialaugment")


def examples_of(images: np.ndarray, targets: np.ndarray, names: Any = NAMES) -> AnnotatedPictures:
    """Of pictures [N, S, S, 3]; in use they are normalised by numbers that change nothing."""
    red, green, blue = BACKGROUND.tolist()
    pictures = Pictures(images, (0.0,) * 3, (1.0,) * 3, (red, green, blue), DEVICE)
    return AnnotatedPictures(pictures, targets, tuple(names))


def images_of(scenes: Scenes) -> np.ndarray:
    return scenes.images.permute(0, 2, 3, 1).contiguous().numpy()


def masked(scenes: Scenes) -> AnnotatedPictures:
    assert scenes.masks is not None
    return examples_of(images_of(scenes), scenes.masks.numpy())


def boxed(scenes: Scenes) -> AnnotatedPictures:
    """Boxes of every shape; those at odd places of a picture are crowds."""
    assert scenes.boxes is not None
    rows = []
    for picture in range(len(scenes)):
        corners, classes = scenes.boxes.of(picture)
        is_crowd = torch.arange(len(classes)) % 2
        rows.append(torch.cat([corners, torch.stack([classes, is_crowd], 1).float()], 1).numpy())
    return examples_of(images_of(scenes), padded_boxes(rows))


def seen(
    examples: AnnotatedPictures, rows: np.ndarray = ROWS, pool: np.ndarray = ROWS,
    seed: int = 0, epoch: int = 1, **how: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Pictures and targets of some rows in an epoch of a training on the pool."""
    view = examples.view(AugmentationSettings(**how), pool, seed, epoch)
    pictures, targets = examples.read(rows, view), examples.moved_targets(rows, view)
    assert targets is not None
    return pictures, targets


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("copy_paste", [0.0, 0.8])
def test_a_class_has_one_colour_wherever_it_goes(policy: str, copy_paste: float) -> None:
    """Shapes are of one colour each, and a change of colours is one for the whole picture."""
    scenes = paint(NUM, SIDE, seed=1)
    images, masks = seen(masked(scenes), strength=1.0, policy=policy, copy_paste=copy_paste)
    assert masks.dtype == torch.uint8
    assert scenes.masks is not None
    assert (masks != scenes.masks).flatten(1).any(dim=1).float().mean() > 0.9
    low, high = (
        each(masks.numpy(), (1, 5, 5), mode="constant", cval=IGNORED)
        for each in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    is_inner = low == high  # and two pixels from any edge, which sharpening reaches over
    assert is_inner.mean() > 0.3
    compared = 0
    for image, mask, inner in zip(images, masks, is_inner, strict=True):
        for label in mask[inner].unique().tolist():
            colours = image[:, torch.from_numpy(inner) & (mask == label)]
            is_own = (colours - colours.median(dim=1).values[:, None]).abs().amax(dim=0) < 0.01
            # An edge that was laid on a shape of the same class is seen in the picture alone.
            assert is_own.float().mean() >= (0.5 if copy_paste else 1)
            compared += label not in (0, IGNORED)
    assert compared > NUM / 3


def test_the_colours_of_pictures_are_changed_too() -> None:
    for policy in POLICIES:
        scenes = paint(NUM, SIDE, seed=1)
        images, masks = seen(masked(scenes), strength=1.0, policy=policy)
        ground = [image[:, mask == 0] for image, mask in zip(images, masks, strict=True)]
        shades = {tuple(each[:, 0].mul(255).round().tolist()) for each in ground if each.numel()}
        assert len(shades) > NUM / 4


def test_a_box_goes_where_its_shape_goes() -> None:
    scenes = paint(NUM, SIDE, seed=2)
    images, boxes = seen(boxed(scenes), strength=1.0)
    same_images, masks = seen(masked(scenes), strength=1.0)
    assert torch.equal(images, same_images)
    assert boxes.shape == (NUM, 1, 6)
    compared = 0
    for row, mask in zip(boxes[:, 0], masks, strict=True):
        if row[4] >= 0:
            np.testing.assert_allclose(row[:4], boxes_of(mask.numpy() == 1)[0], atol=1)
            assert row[4:].tolist() == [1, 0]
            compared += 1
        else:
            np.testing.assert_array_equal(row, NO_BOX)
    assert NUM / 3 < compared < NUM


def test_classes_and_crowds_stay_with_their_boxes() -> None:
    examples = boxed(paint(NUM, SIDE, seed=3, shapes=3))
    stored = torch.from_numpy(examples.targets)
    assert stored[:, :, 5].sum() > NUM / 2
    rows = np.array([7, 3, 20])
    most = int((stored[rows, :, 4] >= 0).sum(dim=1).max())
    _, erased = seen(examples, rows, erasing=1.0)  # nothing is moved
    assert torch.equal(erased, stored[rows, :most])
    _, moved = seen(examples, strength=0.02)  # by less than a pixel: none is lost
    assert torch.equal(moved[:, :, 4:], stored[:, :, 4:])
    assert 0.05 < (moved[:, :, :4] - stored[:, :, :4]).abs().amax() < SIDE / 2
    _, moved = seen(examples, strength=1.0)
    num_lost = 0
    for kept, of in zip(moved[:, :, 4:].tolist(), stored[:, :, 4:].tolist(), strict=True):
        own, left = ([pair for pair in pairs if pair[0] >= 0] for pairs in (of, kept))
        assert left == [pair for pair in own if pair in left]  # in their order
        num_lost += len(own) - len(left)
    assert num_lost > 5


@pytest.mark.parametrize("make", [masked, boxed])
def test_a_plain_view_is_the_store(make: Any) -> None:
    scenes = paint(6, SIDE, seed=4)
    examples = make(scenes)
    rows = np.array([4, 1])
    for view in (PLAIN, examples.view(AugmentationSettings(), ROWS, 3, 2)):
        wanted = scenes.images[torch.from_numpy(rows)].float() / 255
        torch.testing.assert_close(examples.read(rows, view), wanted)
        assert examples.moved_targets(rows, view) is None


@pytest.mark.parametrize("make", [masked, boxed])
def test_rows_epochs_and_seeds_have_looks_of_their_own(make: Any) -> None:
    examples = make(paint(NUM, SIDE, seed=5))
    drawn = count_occurrences(np.array([3, 3, 8]))
    images, targets = seen(examples, drawn, strength=1.0)
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(targets[0], targets[1])
    for other in ({"epoch": 2}, {"seed": 9}):
        changed = seen(examples, drawn, strength=1.0, **other)
        assert not torch.equal(changed[0][2], images[2])
        assert not torch.equal(changed[1], targets)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_row_looks_the_same_in_any_batch_of_its_epoch(policy: str) -> None:
    examples = masked(paint(NUM, SIDE, seed=6, shapes=3))
    how = {"strength": 0.7, "erasing": 0.5, "copy_paste": 0.7, "policy": policy}
    images, masks = seen(examples, **how)
    rows = np.array([11, 4, 30])
    for batch in (rows, rows[::-1], rows[:1]):
        alone = seen(examples, batch, **how)
        assert torch.equal(alone[0], images[torch.from_numpy(batch.copy())])
        assert torch.equal(alone[1], masks[torch.from_numpy(batch.copy())])


def test_targets_are_those_of_the_rows_whatever_was_read_in_between() -> None:
    examples = boxed(paint(NUM, SIDE, seed=7, shapes=2))
    views = [examples.view(AugmentationSettings(strength=1.0), ROWS, 0, n) for n in (0, 1)]
    batches = np.array([1, 2]), np.array([2, 1])
    asked = [(batch, view) for batch in batches for view in views]
    found = [examples.moved_targets(batch, view) for batch, view in asked]
    for (batch, view), wanted in zip(asked, found, strict=True):
        examples.read(np.array([9]), view)
        targets = examples.moved_targets(batch, view)
        assert targets is not None
        assert wanted is not None
        assert torch.equal(targets, wanted)
    assert len({to_bytes(each) for each in found if each is not None}) == 4


@pytest.mark.parametrize("background", [0, 2])
def test_objects_come_from_rows_of_the_pool_alone(background: int) -> None:
    """The ground of a picture has the shade of its row, and its object that and another red."""
    names = ["thing", "thing too"]
    names.insert(background, "background")
    things = [place for place in range(3) if place != background]
    stream, masks = np.random.default_rng(0), np.full((NUM, SIDE, SIDE), background, np.uint8)
    for row in range(1, NUM):  # the first picture shows no object
        left, top = stream.integers(0, SIDE - 8, 2)
        masks[row, top : top + 8, left : left + 8] = things[row % 2]
    shade = np.broadcast_to(5 * ROWS[:, None, None], masks.shape)
    red = np.where(masks == background, 0, 100 + masks)
    images = np.stack([red, shade, shade], axis=3).astype(np.uint8)
    examples, pool = examples_of(images, masks, names), ROWS[::2]
    rows = np.concatenate([pool, [1, 3]])
    found, moved = seen(examples, rows, pool, copy_paste=0.8)
    found = found.mul(255).round().int().permute(0, 2, 3, 1)
    donors = []
    for row, image, mask in zip(rows.tolist(), found, moved, strict=True):
        is_thing = mask != background
        assert torch.equal(image[:, :, 0], torch.where(is_thing, 100 + mask.int(), 0))
        is_strange = image[:, :, 1] != 5 * row
        assert not (is_strange & ~is_thing).any()  # a ground is never laid on another picture
        given = set((image[:, :, 1][is_strange] // 5).tolist())
        assert given <= set(pool.tolist()) - {row}
        assert len(given) <= 1
        donors += [*given]
    assert NUM / 4 < len(donors) < len(rows)
    assert len(set(donors)) > 5


@pytest.mark.parametrize("task", DENSE)
@pytest.mark.parametrize("is_augmented", [False, True])
def test_kept_maps_have_the_bits_of_those_that_are_not(
    task: str, is_augmented: bool, store: Store
) -> None:
    start, plan = prepare_training(
        store_of(store, task), *settings(task, **{"model.trainable_blocks": 1}),
        task=task, seed=0, device=DEVICE,
    )  # fmt: skip
    network, first_block = start.network.eval(), plan.phases[-1].first_block
    rows = plan.rows.pool
    assert len(rows) < 32  # one batch of features
    view = PLAIN
    if is_augmented:
        view = plan.examples.view(AugmentationSettings(strength=0.5), rows, 0, 1)
    caches = [FeatureCache(budget) for budget in (0, 1 << 28)]
    kept = [
        Inputs(
            network, plan.examples, first_block=first_block, pool=rows, frozen_identity="one",
            cache=cache,
        ).reader(rows, view)
        for cache in caches
    ]  # fmt: skip
    assert [len(cache.values) for cache in caches] == [0, 1]
    computed, remembered = (read(rows) for read in kept)
    assert computed.strides == remembered.strides == (8, 16)  # and what the last blocks take
    assert to_bytes(computed) == to_bytes(remembered)
    some = rows[[3, 0]]
    alone = network.run_blocks(plan.examples.read(some, view), 0, first_block)
    for mine, theirs in zip(kept[1](some).tensors, alone.tensors, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("task", DENSE)
@pytest.mark.parametrize("blocks", ["all", 1])
def test_an_update_gets_pictures_and_targets_of_one_look(
    task: str, blocks: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = {"train.epochs": 2, "train.augmentation.strength": 1.0, "model.trainable_blocks": blocks}
    start, plan = prepare_training(
        store_of(store, task), *settings(task, **on), task=task, seed=0, device=DEVICE
    )
    network, first_block = start.network, plan.phases[-1].first_block
    updates: list[tuple[Any, Tensor, Any]] = []
    original = epoch.train_step

    def train_step(network: Any, inputs: Any, targets: Tensor, *args: Any, **kwargs: Any) -> Any:
        updates.append((inputs, targets, kwargs["draws"]))
        return original(network, inputs, targets, *args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", train_step)
    run(store, task, on)
    assert {draws.epoch for _, _, draws in updates} == {0, 1}
    for inputs, targets, draws in updates:
        view = plan.examples.view(plan.update.augmentation, plan.rows.train, 0, draws.epoch)
        moved = plan.examples.moved_targets(draws.rows, view)
        assert moved is not None
        assert torch.equal(targets, moved)
        assert not torch.equal(targets[:, :1], plan.task.of(draws.rows)[:, :1])
        with torch.no_grad():
            pictures = plan.examples.read(draws.rows, view)
            wanted = network.eval().run_blocks(pictures, 0, first_block)
        pairs = [(inputs, wanted)] if blocks == "all" else zip(inputs.tensors, wanted.tensors,
                                                             strict=True)  # fmt: skip
        for given, own in pairs:
            torch.testing.assert_close(given, own)


def test_a_view_of_one_task_is_no_mixture(store: Store) -> None:
    for task, width in ((MASKS, store.image_size), (BOXES, 6)):
        made = store_of(store, task)
        _, plan = prepare_training(made, *settings(task), task=task, seed=0, device=DEVICE)
        examples = plan.examples
        assert isinstance(examples, AnnotatedPictures)
        view = examples.view(AugmentationSettings(strength=1.0), plan.rows.train, 0, 0)
        assert isinstance(view, View)
        assert view.mixing is None
        targets = examples.moved_targets(plan.rows.train[:4], view)
        assert targets is not None
        assert targets.shape[-1] == width
        assert targets.dtype == plan.task.of(plan.rows.train[:1]).dtype
