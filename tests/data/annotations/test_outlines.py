"""Outlines as masks, against pycocotools and against a point-by-point rule."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Ring
from pycocotools import mask as oracle

from sftcore.data.annotations import Annotated, Boxes, class_mask
from sftcore.data.annotations.outlines import (
    Polygons,
    Runs,
    checked_runs,
    compress_counts,
    decode_runs,
    decompress_counts,
    encode_runs,
    outline_mask,
    ring_of,
)
from sftcore.data.kinds import Refused

# pycocotools hands NumPy 2 an array in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def masks() -> list[np.ndarray]:
    stream = np.random.default_rng(0)
    found = [stream.random((h, w)) < p for h, w in ((1, 1), (7, 5), (60, 90)) for p in (0.1, 0.6)]
    blocks = np.kron(stream.random((5, 6)) < 0.5, np.ones((40, 30))).astype(bool)
    return [
        *found,
        blocks,
        np.zeros((4, 9), bool),
        np.ones((9, 4), bool),
        np.ones((3000, 40), bool),
    ]


@pytest.mark.parametrize("mask", masks(), ids=lambda mask: "x".join(map(str, mask.shape)))
def test_runs_are_those_of_pycocotools(mask: np.ndarray) -> None:
    theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = encode_runs(mask)
    assert compress_counts(runs.counts) == theirs["counts"].decode()
    counts = decompress_counts(theirs["counts"].decode())
    assert counts == runs.counts.tolist()
    np.testing.assert_array_equal(decode_runs(checked_runs(*mask.shape, counts)), mask)
    plain = oracle.frPyObjects(
        {"size": list(mask.shape), "counts": runs.counts.tolist()}, *mask.shape
    )
    np.testing.assert_array_equal(oracle.decode(plain).astype(bool), mask)


@QUICK
@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=30))
def test_compressed_lengths_come_back(counts: list[int]) -> None:
    assert decompress_counts(compress_counts(counts)) == counts


@QUICK
@given(st.text(max_size=40))
def test_any_text_is_lengths_or_refused(text: str) -> None:
    try:
        checked_runs(5, 7, decompress_counts(text))
    except Refused:
        return


@pytest.mark.parametrize("counts", [[-1, 36], [34], [36], [], [10**30], [20, -5, 20]])
def test_lengths_that_do_not_fill_the_mask_are_refused(counts: list[int]) -> None:
    with pytest.raises(Refused, match="malformed runs"):
        checked_runs(5, 7, counts)


def test_pixels_of_polygons_are_those_whose_centre_is_inside() -> None:
    stream = np.random.default_rng(1)
    y, x = np.mgrid[:40, :50] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for _ in range(100):
        ring = stream.uniform(-10, 60, (stream.integers(3, 6), 2))
        ring = ring[np.argsort(np.arctan2(*(ring - ring.mean(axis=0)).T))]  # no edges cross
        wanted = Ring(np.concatenate([ring, ring[:1]]), closed=True).contains_points(centres)
        found = outline_mask(Polygons((ring,)), 50, 40)
        np.testing.assert_array_equal(found, wanted.reshape(40, 50))


def test_polygons_are_nearly_those_of_pycocotools() -> None:
    stream = np.random.default_rng(2)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for _ in range(20):
        radii = stream.uniform(30, 45, 20)
        rings = [
            np.stack([60 + radii * np.cos(angles), 50 + radii * np.sin(angles)], axis=1),
            np.array([[5, 5], [30, 6], [20, 25.0]]),
        ]
        theirs = oracle.decode(
            oracle.merge(oracle.frPyObjects([ring.ravel().tolist() for ring in rings], 100, 120))
        ).astype(bool)
        ours = outline_mask(Polygons(tuple(rings)), 120, 100)
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97


def test_polygons_that_share_an_edge_share_no_pixel() -> None:
    left = np.array([[0, 0], [20.5, 0], [10.5, 30], [0, 30.0]])
    right = np.array([[20.5, 0], [40, 0], [40, 30], [10.5, 30.0]])
    pixels = [outline_mask(Polygons((ring,)), 40, 30).astype(int) for ring in (left, right)]
    np.testing.assert_array_equal(pixels[0] + pixels[1], np.ones((30, 40)))


def test_corners_on_centres_of_pixels_leave_no_gap() -> None:
    hub = [17.5, 12.5]
    corners = [[0, 0], [20.5, 0], [40, 0], [40, 12.5], [40, 30], [17.5, 30], [0, 30], [0, 12.5]]
    total = np.zeros((30, 40), dtype=int)
    for one, other in zip(corners, [*corners[1:], corners[0]], strict=True):
        total += outline_mask(Polygons((np.array([hub, one, other]),)), 40, 30)
    np.testing.assert_array_equal(total, 1)


def test_a_ring_in_itself_is_even_odd_and_rings_are_joined() -> None:
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 10.0]])
    assert 40 < outline_mask(Polygons((bow,)), 10, 10).sum() < 60
    square = np.array([[0, 0], [6, 0], [6, 6], [0, 6.0]])
    both = outline_mask(Polygons((square, square + 3)), 12, 12)
    assert both.sum() == 36 + 36 - 9


@pytest.mark.parametrize(
    "numbers", [[], [1, 2, 3, 4], [1] * 7, [1, 2, 3, 4, 5, np.nan], [1e300] * 6]
)
def test_what_is_no_polygon_is_refused(numbers: list[float]) -> None:
    with pytest.raises(Refused, match="malformed polygon"):
        ring_of(numbers)


def test_runs_of_another_size_are_refused_before_they_are_made() -> None:
    with pytest.raises(Refused, match="outline of another size"):
        outline_mask(Runs(10**6, 10**6, np.array([10**12])), 40, 30)


def test_masks_of_classes_lay_small_on_large_and_leave_out_what_is_not_known() -> None:
    def square(x: float, side: float) -> Polygons:
        return Polygons((np.array([[x, 0], [x + side, 0], [x + side, side], [x, side]]),))

    corners = np.array(
        [[0, 0, 2, 2], [0, 0, 8, 8], [9, 0, 12, 3], [5.5, 6, 14, 10], [14, 0, 16, 2.0]]
    )
    outlines = (square(0, 2), square(0, 8), square(9, 3), None, square(14, 2))
    is_crowd = np.array([False, False, False, False, True])
    boxes = Boxes(
        corners, ("small", "large", "small", "large", "small"), is_crowd, (1, 2, 3, 4, 5), outlines
    )
    mask = class_mask(
        Annotated("a", "", (16, 10), boxes), ("ground", "small", "large"), background=0
    )
    wanted = np.zeros((10, 16))
    wanted[6:10, 5:14] = 255
    wanted[:8, :8] = 2
    wanted[:2, :2] = 1
    wanted[:3, 9:12] = 1
    wanted[:2, 14:] = 255
    np.testing.assert_array_equal(mask, wanted)
