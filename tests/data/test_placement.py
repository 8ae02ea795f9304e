import numpy as np
import pytest
import torch
from scipy import ndimage

from sftcore.data.pictures.placement import draw_views, place, place_boxes, random_views
from sftcore.data.pictures.scenes import Scenes
from sftcore.foundations.masks import IGNORED
from tests.data.painted import (
    BACKGROUND,
    GROUND,
    boxes_of,
    colour_of,
    content,
    one_box,
    paint,
    without_objects,
)

SIDE = 32
NUM_VIEWS = 1000
ROWS = np.arange(NUM_VIEWS)


def seen(scenes: Scenes, degrees: float = 0.0, strength: float = 1.0) -> tuple[Scenes, np.ndarray]:
    """1,000 views, and how far their pixels are outside the picture, in halves of its side."""
    views = draw_views(ROWS, strength, 0, 0, max_degrees=degrees)
    centres = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
    x, y = np.meshgrid(centres, centres)
    points = views.astype(np.float64) @ np.stack([x.ravel(), y.ravel(), np.ones(SIDE**2)])
    outside = abs(points).max(axis=1).reshape(-1, SIDE, SIDE) - 1
    return random_views(scenes, ROWS, strength, BACKGROUND, 0, 0, max_degrees=degrees), outside


def matrix(zoom: float = 1.0, right: float = 0.0, down: float = 0.0, mirror: float = 1.0):
    """One view that enlarges by ``zoom`` around the middle, then shifts by pixels of the view."""
    x, y = -2 * right / SIDE / zoom, -2 * down / SIDE / zoom
    return torch.tensor([[[mirror / zoom, 0, mirror * x], [0, 1 / zoom, y]]])


@pytest.mark.parametrize("ellipses", [False, True])
def test_a_box_is_around_the_pixels_of_its_shape(ellipses: bool) -> None:
    scenes = paint(NUM_VIEWS, SIDE, seed=1, ellipses=ellipses)
    views, _ = seen(without_objects(scenes))
    numbers = views.boxes.counts.tolist()
    assert set(numbers) == {0, 1}
    colour, ground = (torch.tensor(each).view(3, 1, 1) for each in (colour_of(np.array(1)), GROUND))
    compared = 0
    for picture, (image, number) in enumerate(zip(views.images.int(), numbers, strict=True)):
        distances = [(image - each.int()).abs().sum(0) for each in (colour, ground, FILL)]
        painted = np.stack(distances).argmin(axis=0) == 0
        box = views.boxes.of(picture)[0].numpy()
        is_cut = number and ((box <= 0.01) | (box >= SIDE - 0.01)).any()
        if number and not (ellipses and is_cut):  # what is left of an ellipse may be narrower
            np.testing.assert_allclose(box, boxes_of(painted), atol=1)
            compared += 1
    assert compared > 300


FILL = BACKGROUND.view(3, 1, 1)


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_a_masks_pixel_has_the_pictures_colour(degrees: float) -> None:
    views, outside = seen(paint(NUM_VIEWS, SIDE, seed=2), degrees)
    masks, images = views.masks.numpy(), views.images.permute(0, 2, 3, 1).numpy()
    is_background = (images == BACKGROUND.numpy()).all(axis=3)
    np.testing.assert_array_equal(masks == IGNORED, is_background)
    is_sure = abs(outside) > 1e-6  # of what lies on the border single precision may say either
    np.testing.assert_array_equal(is_background[is_sure], outside[is_sure] > 0)
    assert is_sure.mean() > 0.999
    assert 0.1 < is_background.mean() < 0.6
    around = (1, 3, 3) if degrees == 0 else (1, 5, 5)  # a corner may point between the pixels
    low, high = (
        each(masks, around, mode="constant", cval=IGNORED)
        for each in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    is_inner = (low == high) & ~is_background
    assert is_inner.mean() > 0.2
    np.testing.assert_array_equal(images[is_inner], colour_of(masks[is_inner].astype(int)))


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_objects_have_the_boxes_of_their_pixels(degrees: float) -> None:
    scenes = paint(NUM_VIEWS, SIDE, seed=3, shapes=3)
    views, _ = seen(scenes, degrees)
    assert views.boxes.counts.unique().tolist() == [0, 1, 2, 3]
    for picture, (objects, mask) in enumerate(zip(views.objects, views.masks, strict=True)):
        corners, classes = views.boxes.of(picture)
        np.testing.assert_array_equal(corners.numpy(), boxes_of(objects.numpy()))
        assert (mask[objects > 0] == classes[objects[objects > 0].long() - 1]).all()
    alone = seen(without_objects(scenes), degrees)[0].boxes
    if degrees == 0:  # by pixels or by corners: the same objects, but one that no pixel shows
        assert 0 <= len(alone.corners) - len(views.boxes.corners) < 10


def test_a_turned_box_holds_its_shape_loosely() -> None:
    scenes = paint(NUM_VIEWS, SIDE, seed=4)
    tight, loose = (seen(each, degrees=45.0)[0].boxes for each in (scenes, without_objects(scenes)))
    both = (tight.counts == 1) & (loose.counts == 1)
    tight, loose = (each.take(both.nonzero()[:, 0]).corners for each in (tight, loose))
    assert len(tight) > 500
    assert (loose[:, :2] <= tight[:, :2] + 1).all()
    assert (loose[:, 2:] >= tight[:, 2:] - 1).all()


def test_a_box_with_a_quarter_to_be_seen_is_kept() -> None:
    scenes = paint(NUM_VIEWS, SIDE, seed=5)
    views, _ = seen(without_objects(scenes))
    matrices = draw_views(ROWS, 1.0, 0, 0).astype(np.float64)
    zoom = 1 / abs(matrices[:, 0, 0])
    whole = (scenes.masks == 1).sum(dim=(1, 2)).numpy() * zoom**2
    part = (views.masks == 1).sum(dim=(1, 2)).numpy() / whole
    is_kept = views.boxes.counts.numpy() == 1
    assert is_kept[part > 0.35].all()
    assert not is_kept[part < 0.15].any()
    assert (part < 0.15).sum() > 50


def test_the_edge_of_what_is_kept() -> None:
    kept = {}
    box = one_box(8, 8, 16, 16)
    for right in (-14.0, -14.0625, 22.0, 22.0625):
        moved, is_kept = place_boxes(box, matrix(right=right), SIDE)
        kept[right] = bool(is_kept)
        assert moved.corners[0, 0] == max(0, 8 + right)
    assert kept == {-14.0: True, -14.0625: False, 22.0: True, 22.0625: False}
    corner = [place_boxes(box, matrix(right=-12, down=d), SIDE)[1].item() for d in (20, 20.0625)]
    assert corner == [True, False]  # half of one side and half of the other
    for corners, expected in (
        ((8, 8, 10, 20), True),
        ((8, 8, 9.9375, 20), False),
        ((8, 8, 20, 9.9375), False),
        ((8, 8, 8, 20), False),
    ):
        assert place_boxes(one_box(*corners), matrix(zoom=0.5), SIDE)[1].tolist() == [expected]


def test_known_views_move_whole_pixels() -> None:
    """Pictures, masks and objects against NumPy's own flip, slices and repetition."""
    scenes = paint(1, SIDE, seed=6, shapes=4)
    arrays = scenes.images.numpy(), scenes.masks.numpy(), scenes.objects.numpy()
    outside = BACKGROUND.numpy().reshape(3, 1, 1), IGNORED, 0
    cases = {
        "identity": (matrix(), lambda a, _: a),
        "mirror": (matrix(mirror=-1.0), lambda a, _: a[..., ::-1]),
        "shift": (matrix(right=5, down=-3), lambda a, fill: shifted(a, fill)),
    }
    for view, expected in cases.values():
        moved = place(scenes, view, BACKGROUND)
        found = moved.images.numpy(), moved.masks.numpy(), moved.objects.numpy()
        for own, before, fill in zip(found[:2], arrays[:2], outside[:2], strict=True):
            np.testing.assert_array_equal(own, expected(before, fill))
        assert ((found[2] > 0) <= (expected(arrays[2], 0) > 0)).all()
        assert own.dtype == np.uint8
    twice = place(scenes, matrix(zoom=2.0), BACKGROUND)
    middle = arrays[1][:, 8:24, 8:24].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(twice.masks.numpy(), middle)
    floats = Scenes(torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    half = place(floats, matrix(zoom=0.5), torch.tensor([2.0, 2.0, 2.0])).images
    means = torch.nn.functional.avg_pool2d(floats.images, 2)
    torch.testing.assert_close(half[..., 8:24, 8:24], means)
    assert (half == 2.0).sum() == 3 * (SIDE**2 - 16**2)
    assert half.dtype == torch.float32


def shifted(array: np.ndarray, fill) -> np.ndarray:
    moved = np.empty_like(array)
    moved[...] = fill
    moved[..., : SIDE - 3, 5:] = array[..., 3:, : SIDE - 5]
    return moved


def test_boxes_of_known_views() -> None:
    boxes = one_box(4, 6, 10, 20)
    expected = {
        (4.0, 6.0, 10.0, 20.0): matrix(),
        (22.0, 6.0, 28.0, 20.0): matrix(mirror=-1.0),
        (9.0, 3.0, 15.0, 17.0): matrix(right=5, down=-3),
        (0.0, 0.0, 4.0, 24.0): matrix(zoom=2.0),
        (10.0, 11.0, 13.0, 18.0): matrix(zoom=0.5),
    }
    for corners, view in expected.items():
        assert tuple(place_boxes(boxes, view, SIDE)[0].corners[0].tolist()) == corners
    turned = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])  # (x, y) is seen at (y, -x)
    assert place_boxes(boxes, turned, SIDE)[0].corners.tolist() == [[6.0, 22.0, 20.0, 28.0]]


def test_strength_zero_is_the_scenes_themselves() -> None:
    scenes = paint(5, SIDE, seed=7)
    assert random_views(scenes, np.arange(5), 0.0, BACKGROUND, 0, 0, max_degrees=20) is scenes


def test_strength_is_of_every_change() -> None:
    for strength in (0.25, 1.0):
        views = draw_views(ROWS, strength, 0, 0, max_degrees=20).astype(np.float64)
        forward = np.linalg.inv(views[:, :, :2])
        zoom = np.sqrt(abs(np.linalg.det(forward)))
        assert 2**-strength <= zoom.min() < 2 ** (-0.98 * strength)
        assert 2 ** (0.98 * strength) < zoom.max() <= 2**strength + 1e-6
        assert abs(np.log2(zoom).mean()) < 0.06 * strength
        is_mirrored = np.linalg.det(forward) < 0
        assert abs(is_mirrored.mean() - strength / 2) < 0.05
        angle = np.degrees(np.arctan2(forward[:, 1, 1], forward[:, 0, 1]) - np.pi / 2)
        assert 0.98 * 20 * strength < abs(angle).max() <= 20 * strength + 1e-4
        middle = (forward @ -views[:, :, 2:])[:, :, 0]  # where the picture's middle is seen
        reach = abs(zoom - 1) + 0.3 * strength
        part = middle / reach[:, None]
        assert (abs(part) <= 1 + 1e-5).all()
        assert (abs(part).max(axis=0) > 0.98).all()
        assert abs(np.corrcoef(part.T)[0, 1]) < 0.1
    still = draw_views(ROWS, 0.0, 0, 0, max_degrees=20)
    np.testing.assert_array_equal(still, np.broadcast_to(np.eye(2, 3), still.shape))
    straight = draw_views(ROWS, 1.0, 0, 0)
    assert (straight[:, 0, 1] == 0).all()
    assert (straight[:, 1, 0] == 0).all()


def test_a_rows_view_does_not_depend_on_its_companions() -> None:
    scenes, rows = paint(40, SIDE, seed=8, shapes=3), np.arange(40) + (3 << 32)
    together = random_views(scenes, rows, 0.8, BACKGROUND, 1, 2, max_degrees=10)
    for some in ([7], [39, 0, 12], list(reversed(range(40))), [5] * 3):
        index = torch.tensor(some)
        alone = random_views(scenes.take(index), rows[some], 0.8, BACKGROUND, 1, 2, max_degrees=10)
        assert content(alone) == content(together.take(index))
    floats = Scenes(scenes.images.float() / 255)
    whole = random_views(floats, rows, 0.8, BACKGROUND / 255, 1, 2).images
    single = random_views(floats.take(slice(9, 10)), rows[9:10], 0.8, BACKGROUND / 255, 1, 2)
    assert torch.equal(single.images, whole[9:10])


def test_views_are_functions_of_seed_epoch_row_and_purpose() -> None:
    rows = np.array([4, 4 + (1 << 32), 9])
    first = draw_views(rows, 1.0, 0, 0)
    np.testing.assert_array_equal(first, draw_views(rows, 1.0, 0, 0))
    others = [draw_views(rows, 1.0, 1, 0), draw_views(rows, 1.0, 0, 1)]
    others.append(draw_views(rows, 1.0, 0, 0, purpose="another"))
    everything = np.concatenate([first, *others]).reshape(-1, 6)
    assert len(np.unique(everything, axis=0)) == 12


def test_scenes_without_labels_and_without_pictures() -> None:
    scenes = paint(3, SIDE, seed=9)
    plain = random_views(Scenes(scenes.images), np.arange(3), 1.0, BACKGROUND, 0, 0)
    assert plain.masks is plain.boxes is plain.objects is None
    whole = random_views(scenes, np.arange(3), 1.0, BACKGROUND, 0, 0)
    assert torch.equal(plain.images, whole.images)
    none = random_views(scenes.take(slice(0, 0)), np.arange(0), 1.0, BACKGROUND, 0, 0)
    assert none.images.shape == (0, 3, SIDE, SIDE)
    assert len(none.boxes) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 3, 4, 5)}, r"\[B, 3, S, S\]"),
        ({"masks": torch.zeros(2, 5, 4, dtype=torch.uint8)}, "masks are"),
        ({"masks": torch.zeros(2, 4, 4)}, "uint8"),
        ({"boxes": one_box(0, 0, 1, 1, pictures=3)}, "boxes are of 2"),
        ({"boxes": None}, "there have to be boxes"),
        ({"objects": torch.zeros(2, 4, 4, dtype=torch.uint8)}, "with a sign"),
        ({"objects": torch.full((2, 4, 4), 2)}, "numbered from 1"),
        ({"objects": torch.full((2, 4, 4), -1)}, "numbered from 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict, message: str) -> None:
    parts = {
        "images": torch.zeros(2, 3, 4, 4),
        "masks": torch.zeros(2, 4, 4, dtype=torch.uint8),
        "boxes": one_box(0, 0, 1, 1, pictures=2),
        "objects": torch.ones(2, 4, 4, dtype=torch.int32),
    }
    Scenes(**parts)
    with pytest.raises(ValueError, match=message):
        Scenes(**(parts | change))
