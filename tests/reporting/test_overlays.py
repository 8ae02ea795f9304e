"""Boxes drawn on pictures: labels stay inside of the picture and leave each other room."""

import numpy as np
import pytest

from sftcore.reporting import overlays
from sftcore.reporting.overlays import with_boxes

RED, BLUE = (200, 0, 0), (0, 0, 200)


def places(boxes: list[list[int]], labels: list[str], monkeypatch: pytest.MonkeyPatch) -> list:
    found: list[tuple[int, int, int, int]] = []
    monkeypatch.setattr(overlays, "_label", lambda canvas, place, *others: found.append(place))
    image = np.zeros((90, 120, 3), np.uint8)
    with_boxes(image, np.array(boxes), [RED] * len(boxes), labels)
    return found[::-1]


def test_labels_stay_inside_and_off_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [[30, 30, 80, 60], [31, 31, 80, 60], [32, 30, 81, 61], [100, 0, 120, 20],
             [100, 70, 120, 90], [0, 0, 120, 90]]  # fmt: skip
    found = places(boxes, ["person 0.91"] * 6, monkeypatch)
    for left, top, right, bottom in found:
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 90
    for number, one in enumerate(found):
        for other in found[:number]:
            assert not (one[0] < other[2] and other[0] < one[2]
                        and one[1] < other[3] and other[1] < one[3])  # fmt: skip
    assert found[0][0] == 30
    assert found[0][3] == 30  # above its box where nothing is in the way


def test_a_label_wider_than_the_picture_begins_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ((left, top, *_),) = places([[100, 5, 110, 20]], ["x" * 99], monkeypatch)
    assert left == 0
    assert top >= 0


def test_the_first_box_is_on_top_and_labels_are_above_all_boxes() -> None:
    image, box = np.zeros((40, 40, 3), np.uint8), [10, 20, 30, 30]
    drawn = with_boxes(image, np.array([box, box]), [RED, BLUE])
    assert drawn[20, 20].tolist() == [*RED]
    assert not image.any()
    labelled = with_boxes(image, np.array([box, [0, 14, 39, 14]]), [RED, BLUE], ["a", ""])
    assert labelled[14, 10].tolist() == [*RED]


def test_a_label_is_as_large_as_is_asked_for() -> None:
    picture = np.full((400, 400, 3), 255, np.uint8)
    box, colour = np.array([[100, 100, 300, 300]], float), (200, 0, 0)
    plain, small, large = (
        (with_boxes(picture, box, [colour], words, font_size=size) != 255).any(axis=2).sum()
        for words, size in (([""], 10), (["apple"], 10), (["apple"], 40))
    )
    assert 8 * (small - plain) < large - plain < 16 * (small - plain)
