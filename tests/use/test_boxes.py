"""Rules of boxes: the threshold fixed on validation, measured on test, kept, applied, told."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftcore.evaluation.predict import Seen
from sftcore.foundations.errors import WeightsError
from sftcore.reporting.parts import write_parts
from sftcore.use.boxes import BoxUsage, FixedBoxes
from sftcore.use.coco_file import coco_file
from sftcore.use.contract import ToJudge
from sftcore.use.decision import load_decision, save_decision
from sftcore.use.found_boxes import FoundBoxes, nms_iou_of
from sftcore.use.rules import Wanted, share
from sftcore.use.tiles import TiledAnswers, tiling_of

NAMES = ["=cat", "日本"]
WANTED = Wanted(coverage=0.8, answer_accuracy=0.9, known_fraction=0.9, confidence=0.95)
ROWS = {"train": np.arange(10), "val": np.arange(10, 40), "test": np.arange(40, 70)}
COUNT, MOST = 70, 6


def judged() -> ToJudge:
    """Boxes in six places, of which two overlap never: a box is right if its place has a thing."""
    stream = np.random.default_rng(0)
    left = np.arange(MOST) * 10.0
    corners = np.stack([left, np.zeros(MOST), left + 8, np.full(MOST, 8.0)], axis=1)
    targets = np.zeros((COUNT, MOST, 6), dtype=np.float32)
    targets[:, :, :4] = corners
    targets[:, :, 4] = stream.integers(-1, 2, (COUNT, MOST))
    targets[:, :, 5] = (stream.random((COUNT, MOST)) < 0.1) & (targets[:, :, 4] >= 0)
    answers = np.full((COUNT, MOST + 2, 6), -1.0, dtype=np.float32)
    answers[:, :MOST, :4] = corners + 0.25
    is_right = (stream.random((COUNT, MOST)) < 0.7) & (targets[:, :, 4] >= 0)
    answers[:, :MOST, 5] = np.where(
        is_right, targets[:, :, 4], stream.integers(-1, 2, (COUNT, MOST))
    )
    luck = stream.random((COUNT, MOST))
    answers[:, :MOST, 4] = np.where(is_right, 0.3 + 0.7 * luck, 0.7 * luck)
    targets[ROWS["train"], :, 4] = -1
    features = torch.from_numpy(stream.normal(size=(COUNT, 5))).float()
    groups = np.array([f"g{row // 2}" for row in range(COUNT)], dtype=object)
    return ToJudge(features, answers, targets, groups, ROWS)


def fix(of: ToJudge) -> FixedBoxes:
    return BoxUsage(NAMES).fix(of, WANTED, model_sha256="m", device="cpu")


def counts(of: ToJudge, split: str, threshold: float) -> tuple[int, int, int]:
    """Boxes given, right ones, and things, place by place; a crowd's box counts nowhere."""
    given, right, things = 0, 0, 0
    for row in ROWS[split]:
        for place in range(MOST):
            score, label = of.answers[row, place, 4:]
            thing, is_crowd = of.targets[row, place, 4:]
            things += thing >= 0 and not is_crowd
            if label < 0 or score < threshold or (is_crowd and label == thing):
                continue
            given += 1
            right += label == thing
    return given, right, int(things)


def f1(of: ToJudge, threshold: float) -> float:
    given, right, things = counts(of, "val", threshold)
    return 2 * right / (given + things)


def test_no_threshold_does_better_on_validation() -> None:
    of = judged()
    rule = fix(of).decision.boxes
    cuts = np.unique(of.answers[ROWS["val"], :MOST, 4])
    assert f1(of, rule.threshold) == max(f1(of, cut) for cut in cuts)
    assert 0.1 < rule.threshold < 0.9


def test_test_says_how_often_boxes_are_right() -> None:
    of = judged()
    rule = fix(of).decision.boxes
    given, right, things = counts(of, "test", rule.threshold)
    assert (rule.test_precision.num, rule.test_recall.num) == (given, things)
    assert rule.test_precision.value == pytest.approx(right / given)
    assert rule.test_recall.value == pytest.approx(right / things)
    assert rule.test_precision.low < rule.test_precision.value < rule.test_precision.high
    assert 0 < right < given
    table = fix(of).table
    assert table[["test_boxes", "test_right", "test_things"]].sum().tolist() == [
        given,
        right,
        things,
    ]
    targets = of.targets.copy()
    targets[ROWS["test"], :, 4] = 0
    assert fix(replace(of, targets=targets)).decision.boxes.threshold == rule.threshold


def test_intervals_are_over_the_groups_of_the_pictures() -> None:
    of = judged()
    # One group holds half of the pictures, so that it matters whose thing is whose.
    groups = of.groups.copy()
    groups[40:55] = "many"
    of = replace(of, groups=groups)
    rule = fix(of).decision.boxes
    found: dict[str, list[tuple[bool, str]]] = {"precision": [], "recall": []}
    for row in ROWS["test"]:
        for place in range(MOST):
            score, label = of.answers[row, place, 4:]
            thing, is_crowd = of.targets[row, place, 4:]
            is_given = label >= 0 and score >= rule.threshold
            if thing >= 0 and not is_crowd:
                found["recall"].append((bool(is_given and label == thing), groups[row]))
            if is_given and not (is_crowd and label == thing):
                found["precision"].append((bool(label == thing), groups[row]))
    for name, rows in found.items():
        is_true, of_groups = (np.array(column) for column in zip(*rows, strict=True))
        assert getattr(rule, f"test_{name}") == share(is_true, of_groups, 0.95)


def test_a_thing_is_found_once_and_counts_for_its_own_picture() -> None:
    """Two boxes on one thing, and a picture that misses both of its things."""
    of = judged()
    answers, targets = np.full_like(of.answers, -1), np.full_like(of.targets, -1)
    targets[40, 0] = [0, 0, 10, 10, 0, 0]
    targets[41, :2] = [[0, 0, 10, 10, 0, 0], [20, 0, 30, 10, 1, 0]]
    answers[40, :2] = [[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 9, 0.8, 0]]
    rule = fix(replace(of, answers=answers, targets=targets)).decision.boxes
    assert rule.threshold == 0.5
    assert (rule.test_precision.value, rule.test_precision.num) == (0.5, 2)
    assert (rule.test_recall.value, rule.test_recall.num) == (pytest.approx(1 / 3), 3)


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    of = judged()
    none = replace(of, answers=np.full_like(of.answers, -1), targets=np.full_like(of.targets, -1))
    fixed = fix(none)
    rule = fixed.decision.boxes
    assert rule.threshold == 0.5
    assert (rule.test_precision.num, rule.test_recall.num) == (0, 0)
    save_decision(tmp_path / "d", fixed.decision, fixed.directions)
    kept, _ = load_decision(tmp_path / "d", "m", BoxUsage(NAMES).read)
    assert np.isnan(kept.boxes.test_precision.value)
    assert "none of 0" in next(BoxUsage(NAMES).told(kept, Counter(), 1, "pictures"))


def test_rules_are_kept_and_belong_to_their_model(tmp_path: Path) -> None:
    fixed, usage = fix(judged()), BoxUsage(NAMES)
    save_decision(tmp_path / "d", fixed.decision, fixed.directions)
    decision, _ = load_decision(tmp_path / "d", "m", usage.read)
    assert replace(decision, reference_sha256="") == fixed.decision
    with pytest.raises(WeightsError, match="another model"):
        load_decision(tmp_path / "d", "n", usage.read)


def said(*rows: tuple[float, ...]) -> TiledAnswers:
    return TiledAnswers(np.array([rows], dtype=np.float32), tiling_of(100, 50, 50))


def test_with_rules_boxes_count_from_the_threshold_on() -> None:
    usage, decision = BoxUsage(NAMES), fix(judged()).decision
    just = np.float32(0.61)  # no number of double precision
    rule = replace(decision.boxes, threshold=float(just))
    boxes = said((0, 12, 10, 30, just, 1), (0, 12, 9, 30, np.nextafter(just, 0), 0))
    found = usage.find(boxes, replace(decision, boxes=rule))
    np.testing.assert_allclose(found.corners, [[0, 0, 20, 36]])
    assert len(usage.find(boxes, None).scores) == 2
    above = replace(rule, threshold=float(just) + 1e-10)
    assert not len(usage.find(boxes, replace(decision, boxes=above)).scores)
    row = usage.row(found)
    assert (row["width"], row["height"], row["num_boxes"]) == (100, 50, 1)
    (box,) = json.loads(row["boxes"])
    assert box == {"class": "日本", "score": pytest.approx(0.61), "box": [0.0, 0.0, 20.0, 36.0]}
    assert np.float32(box["score"]) == just
    assert usage.row(usage.find(boxes, None).take(np.array([False, False])))["boxes"] == "[]"


def test_the_overlap_that_ends_a_box_is_the_records() -> None:
    assert nms_iou_of({"decoding": {"nms_iou": 0.25}}) == 0.25
    assert nms_iou_of({}) == 0.6
    tiling = tiling_of(100, 40, 80, 40, 0.25)
    answers = np.full((3, 1, 6), -1.0, dtype=np.float32)
    answers[0, 0] = [62, 10, 76, 60, 0.7, 0]  # 31 to 38 in the picture
    answers[1, 0] = [6, 10, 20, 60, 0.8, 0]  # 33 to 40: an overlap of 5/9
    both = TiledAnswers(answers, tiling)
    for limit, num in ((0.5, 1), (0.6, 2)):
        usage = BoxUsage(NAMES, {"decoding": {"nms_iou": limit}})
        assert len(usage.find(both, None).scores) == num


def test_cells_and_columns() -> None:
    usage, fixed = BoxUsage(NAMES), fix(judged())
    rows = np.empty(1, dtype=object)
    rows[0] = usage.row(usage.find(said((0, 12.5, 10, 30, 0.9, 1)), fixed.decision))
    cells = usage.cells(Seen(judged().features[:1], rows), (fixed.decision, fixed.directions))
    for asked in (True, False):
        columns = usage.columns(has_rules=True, with_probabilities=asked)
        assert set(columns) - {"file", "reason"} == set(cells)
    assert not usage.has_probabilities


def test_a_drawing_has_each_box() -> None:
    usage, image = BoxUsage(NAMES), np.full((50, 100, 3), 255, dtype=np.uint8)
    corners = np.array([[20, 20, 60, 40]], dtype=np.float32)
    found = FoundBoxes(corners, np.array([0.5], np.float32), np.array([1]), (100, 50))
    drawn = usage.drawn(image, found)
    is_changed = (drawn != 255).any(axis=2)
    assert is_changed[40, 20:60].all()
    assert not is_changed[25:38, 25:55].any()
    assert is_changed[8:19, 20:40].any(), "the words"
    nothing = found.take(np.array([False]))
    np.testing.assert_array_equal(usage.drawn(image, nothing), image)


@pytest.mark.parametrize(("size", "high"), [((400, 300), 14), ((4000, 3000), 60)])
def test_words_on_a_large_picture_are_as_large_beside_it(size: tuple[int, int], high: int) -> None:
    usage, image = BoxUsage(NAMES), np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    left, top = size[0] // 4, size[1] // 2
    corners = np.array([[left, top, 3 * left, top + top // 2]], dtype=np.float32)
    found = FoundBoxes(corners, np.array([0.5], np.float32), np.array([1]), size)
    above = (usage.drawn(image, found)[: top - max(size) // 400 - 1] != 255).any(axis=(1, 2))
    assert 0.6 * high < above.sum() < 1.4 * high


def test_parts_and_last_words(tmp_path: Path) -> None:
    usage, fixed = BoxUsage(NAMES), fix(judged())
    ids = {split: [f"={row}" for row in ROWS[split]] for split in ("val", "test")}
    write_parts(tmp_path, usage.parts(fixed, ids, tmp_path))
    for file in tmp_path.glob("*.csv"):
        assert "\n=" not in file.read_text()
    lines = list(usage.told(fixed.decision, Counter({"unlike": 3}), 9, "pictures"))
    assert str(fixed.decision.boxes.test_precision) in lines[0]
    assert lines[-1].startswith("unlike: 3 of 9")


def coco(lines: list[str]) -> dict[str, Any]:
    content = coco_file(
        "file,width,height,num_boxes,boxes,reason\n", lines, ["a.jpg", "b/c.jpg", "d"], NAMES
    )
    return json.loads(content)


def test_cocos_file_serves_as_instances_and_as_results() -> None:
    from pycocotools.coco import COCO

    boxes = [
        {"class": "日本", "score": 0.9, "box": [1.5, 2.0, 11.5, 6.0]},
        {"class": "=cat", "score": 0.25, "box": [0.0, 0.0, 3.0, 3.0]},
    ]
    cell = json.dumps(boxes).replace('"', '""')
    written = coco([f'"=a",20,10,2,"{cell}",\n', "b,,,,,not a picture\n", 'd,7,8,0,"[]",\n'])
    assert written["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 20, "height": 10},
        {"id": 2, "file_name": "d", "width": 7, "height": 8},
    ]
    assert written["categories"] == [{"id": 1, "name": "=cat"}, {"id": 2, "name": "日本"}]
    assert [of["bbox"] for of in written["annotations"]] == [[1.5, 2, 10, 4], [0, 0, 3, 3]]
    assert [of["category_id"] for of in written["annotations"]] == [2, 1]
    assert [of["score"] for of in written["annotations"]] == [0.9, 0.25]
    truth = COCO()
    truth.dataset = written
    truth.createIndex()
    assert len(truth.loadRes(written["annotations"]).anns) == 2
