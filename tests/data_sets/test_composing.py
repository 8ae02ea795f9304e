"""Scenes are composed as they promise: what is on top, what is ignored, who is kept together."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from data.make import composing
from data.make.coco import box_of, run_lengths
from data.make.composing import IGNORED, MIN_VISIBLE, Piece, compose, draw_pieces, paste
from data.make.crowds import visible_parts
from data.make.grounds import NUM_DRAWS, SIDE, cut_texture, draw_pattern
from data.make.scenes import counts_of, mask_png
from data.make.things import Thing, deal

# pycocotools 2.0 converts its arrays in a way that NumPy 2 finds outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def square(value: int, side: int, alpha: int = 255, colour: tuple[int, ...] = (255, 0, 0)) -> Piece:
    return Piece(value, f"{value}.png", Image.new("RGBA", (side, side), (*colour, alpha)))


GREY = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))


def test_later_things_hide_earlier_ones_and_edges_cut_them() -> None:
    scene = paste(GREY, [square(3, 20), square(5, 20)], [(-5, 10), (5, 20)])
    expected = np.zeros((SIDE, SIDE), dtype=int)
    expected[10:30, 0:15] = 3
    expected[20:40, 5:25] = 5
    assert (scene.mask == expected).all()
    for instance, value in zip(scene.instances, (3, 5), strict=True):
        assert (instance.mask == (expected == value)).all()
    assert [instance.visible for instance in scene.instances] == [(15 * 20 - 10 * 10) / 400, 1.0]
    pixels = np.asarray(scene.picture)
    assert ((pixels == (255, 0, 0)).all(axis=2) == (expected > 0)).all()


@pytest.mark.parametrize(
    ("alpha", "value", "is_seen"),
    [(63, 0, False), (64, 255, False), (127, 255, False), (128, 255, True), (191, 255, True),
     (192, 4, True)],
)  # fmt: skip
def test_half_transparent_pixels_are_ignored(alpha: int, value: int, is_seen: bool) -> None:
    pixels = np.full((10, 10, 4), 255, dtype=np.uint8)
    pixels[2, 3, 3] = alpha
    scene = paste(GREY, [Piece(4, "", Image.fromarray(pixels))], [(0, 0)])
    assert scene.mask[2, 3] == value
    assert scene.instances[0].mask[2, 3] == is_seen
    assert (scene.mask[:10, :10] == 4).sum() == 99 + (value == 4)


def test_a_soft_edge_over_a_thing_is_ignored_and_a_thing_over_it_is_known() -> None:
    glass = Image.new("RGBA", (10, 10), (0, 0, 255, 100))
    glass.putpixel((9, 9), (0, 0, 255, 255))
    pieces = [square(1, 30), Piece(2, "", glass), square(3, 4)]
    scene = paste(GREY, pieces, [(0, 0), (5, 5), (6, 6)])
    values = [(scene.mask == value).sum() for value in (1, 2, 3, IGNORED)]
    assert values == [900 - 100, 1, 16, 100 - 17]
    assert scene.instances[0].mask.sum() == 900 - 17, "what shines through stays its owner's"


def test_composed_scenes_keep_what_they_promise() -> None:
    pool = [square(value, 40 + 20 * value, colour=(0, 40 * value, 0)) for value in (1, 2, 3, 4)]
    for number in range(6):
        scene = compose(GREY, pool, number, number)
        assert len(scene.instances) == number
        for instance in scene.instances:
            own = np.asarray(instance.piece.image)[:, :, 3] >= 128
            assert instance.visible == instance.mask.sum() / own.sum() >= MIN_VISIBLE
            assert 24 <= max(instance.piece.image.size) <= 128
        again = compose(GREY, pool, number, number)
        assert again.picture.tobytes() == scene.picture.tobytes()


def test_what_lies_outside_counts_as_hidden() -> None:
    masks = np.array([[[True, True]], [[True, False]]])
    assert visible_parts(masks, [4, 1]).tolist() == [1 / 4, 1.0]


def test_a_scene_shows_no_drawing_twice_while_its_class_has_others() -> None:
    pool = [Piece(1, f"{i}.png", square(1, 30).image) for i in range(5)]
    for number in range(20):
        assert len({piece.source for piece in draw_pieces(pool, 5, number, 0)}) == 5
    assert len(draw_pieces(pool, 7, 0, 0)) == 7


def test_things_like_their_ground_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "_MAX_ATTEMPTS", 3)
    hidden = [square(1, 40, colour=(130, 130, 130))]
    with pytest.raises(RuntimeError, match="scene 3 does not fit 2 things"):
        compose(GREY, hidden, 2, 3)


def test_runs_and_boxes_are_those_of_pycocotools() -> None:
    stream = np.random.default_rng(0)
    masks = [stream.uniform(size=(7, 5)) < share for share in (0.1, 0.5, 0.9) for _ in range(20)]
    masks += [np.ones((4, 6), dtype=bool), np.zeros((4, 6), dtype=bool)]
    for mask in masks:
        height, width = mask.shape
        runs = {"size": [height, width], "counts": run_lengths(mask)}
        read = coco_masks.frPyObjects(runs, height, width)
        assert (coco_masks.decode(read) == mask).all()
        assert sum(runs["counts"]) == mask.size
        assert all(runs["counts"][1:])
        if mask.any():
            assert box_of(mask) == coco_masks.toBbox(read).tolist()


def test_families_stay_together_and_classes_are_spread() -> None:
    things = [
        Thing(label, f"{label}{i}.png", f"family{i // 3}" if i < 12 else f"{label}{i}")
        for label in ("a", "b")
        for i in range(30)
    ]
    pools = deal(things, 5)
    assert sorted((t.label, t.source) for pool in pools for t in pool) == sorted(
        (t.label, t.source) for t in things
    )
    for label in ("a", "b"):
        found = [sum(thing.label == label for thing in pool) for pool in pools]
        assert max(found) - min(found) <= 1
        for family in range(4):
            homes = [any(t.label == label and t.family == f"family{family}" for t in pool)
                     for pool in pools]  # fmt: skip
            assert sum(homes) == 1


def test_a_pool_with_a_large_family_gets_other_classes_too() -> None:
    things = [Thing("a", f"a{i}.png", "large") for i in range(9)]
    things += [Thing(label, f"{label}{i}.png", f"{label}{i}") for label in "bcd" for i in range(8)]
    pools = deal(things, 8)
    assert [{t.label for t in pool} for pool in pools if len(pool) > 8] == [set("abcd")]
    assert sorted(len({t.label for t in pool}) for pool in pools) == [3] * 7 + [4]
    pools = deal(things, 12)
    assert min(len({t.label for t in pool}) for pool in pools) >= 2


def test_few_scenes_are_empty_and_the_other_counts_are_equal() -> None:
    counts = Counter(counts_of(360))
    assert counts == {0: 15} | dict.fromkeys(range(2, 7), 69)
    assert counts_of(360) == counts_of(360) != sorted(counts_of(360))


def test_grounds_have_the_size_of_a_scene_and_are_no_blank_sheets() -> None:
    stream = np.random.default_rng(0)
    for kind in (0.1, 0.3, 0.6, 0.9):
        draws = np.concatenate([[kind], stream.uniform(size=NUM_DRAWS - 1)])
        image = draw_pattern(draws)
        assert (image.mode, image.size) == ("RGB", (SIDE, SIDE))
        assert np.asarray(image, dtype=float).std(axis=(0, 1)).max() > 5
        assert image.tobytes() == draw_pattern(draws).tobytes()
    texture = Image.fromarray(stream.integers(0, 256, (64, 90, 3)).astype(np.uint8))
    for _ in range(10):
        assert cut_texture(texture, stream.uniform(size=8)).size == (SIDE, SIDE)


def test_a_mask_survives_its_file(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).choice([0, 1, 8, 255], size=(SIDE, SIDE)).astype(np.uint8)
    (tmp_path / "mask.png").write_bytes(mask_png(mask))
    assert (np.asarray(Image.open(tmp_path / "mask.png")) == mask).all()
