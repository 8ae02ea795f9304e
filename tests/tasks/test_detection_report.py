"""Every number of the report of boxes against pycocotools and against plain loops."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.foundations.artifacts import read_json
from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.dense.decoding import decode
from sftcore.models.dense.points import grid_points
from sftcore.models.dense.settings import DecodingSettings
from sftcore.reporting.parts import read_parts
from sftcore.tasks.detection import pictures
from sftcore.tasks.detection.boxes import detections_of, truths_of
from sftcore.tasks.detection.measured import measured_model
from sftcore.tasks.detection.pictures import choose_pictures
from sftcore.tasks.detection.tables import detections_table, found_truths, pictures_table
from sftcore.tasks.finished import Finished
from sftcore.tasks.reports import report_for
from tests.metrics.detection_cases import coco
from tests.tasks.boxes import MOST_GIVEN, NUM_CLASSES, SIDE, SIZES, given_boxes, plainly_matched
from tests.tasks.finished import MEASURING, NAMES, PLACES, made

FINISHED, FACTS, _ = made("detection")
TRUE = {split: FINISHED.targets[rows] for split, rows in PLACES.items()}
GIVEN = {split: FINISHED.answers[rows] for split, rows in PLACES.items()}
OTHER = {split: given_boxes(TRUE[split], 9) for split in ("val", "test")}
Report = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("boxes") / "report"
    row = Baseline("linear_head", {"strength": 0.5}, OTHER["val"], OTHER["test"])
    return folder, report_for("detection", NAMES, FACTS).write(FINISHED, MEASURING, folder, [row])


def counts_of(given: np.ndarray, true: np.ndarray, threshold: float) -> np.ndarray:
    """Of each picture right, wrong and true boxes, [N, 3]."""
    rows = []
    for boxes, truths in zip(given, true, strict=True):
        fates = [fate for fate, _ in plainly_matched(boxes[boxes[:, 4] >= threshold], truths)]
        num_true = ((truths[:, 4] >= 0) & (truths[:, 5] == 0)).sum()
        rows.append([fates.count("right"), fates.count("wrong"), num_true])
    return np.array(rows)


def f1_of(counts: np.ndarray, weights: np.ndarray | None = None) -> float:
    right, wrong, true = counts.T @ (np.ones(len(counts)) if weights is None else weights)
    return float(2 * right / (right + wrong + true))


def chosen(given: dict[str, np.ndarray]) -> float:
    """The best F1 on validation, of every threshold that tells boxes apart."""
    scores = np.unique(given["val"][given["val"][..., 5] >= 0][:, 4])
    return max(f1_of(counts_of(given["val"], TRUE["val"], cut)) for cut in [0, *scores])


@pytest.mark.parametrize("split", PLACES)
def test_average_precision_and_recall_are_pycocotools(split: str, report: Report) -> None:
    true, given = truths_of(TRUE[split]), detections_of(GIVEN[split])
    theirs = coco(given, true, np.ones(len(TRUE[split]), dtype=int), NUM_CLASSES).stats
    names = [f"average_precision{end}" for end in ("", "_50", "_75", "_small", "_medium", "_large")]
    names += [f"average_recall_{end}" for end in (1, 10, 100, "small", "medium", "large")]
    for name, value in zip(names, theirs, strict=True):
        assert value > 0, name
        assert report[1][split][name] == pytest.approx(value, abs=2e-6), name


def test_boxes_are_read_as_they_are() -> None:
    found, true = detections_of(GIVEN["test"]), truths_of(TRUE["test"])
    rows = [
        (n, *row) for n, of in enumerate(GIVEN["test"].tolist()) for row in of if row[5] >= 0
    ]  # fmt: skip
    table = np.column_stack([found.picture, found.box, found.score, found.label])
    assert (table == np.array(rows)).all()
    rows = [(n, *row) for n, of in enumerate(TRUE["test"].tolist()) for row in of if row[4] >= 0]
    table = np.column_stack([true.picture, true.box, true.label, true.is_crowd])
    assert (table == np.array(rows)).all()
    assert true.is_crowd.any()


def test_the_threshold_is_of_the_greatest_f1_on_validation(report: Report) -> None:
    metrics = report[1]
    best = f1_of(counts_of(GIVEN["val"], TRUE["val"], metrics["threshold"]))
    assert best == pytest.approx(chosen(GIVEN))
    assert metrics["val"]["f1"] == pytest.approx(best, abs=2e-6)
    for split in PLACES:
        right, wrong, true = counts_of(GIVEN[split], TRUE[split], metrics["threshold"]).sum(axis=0)
        assert metrics[split]["precision"] == pytest.approx(right / (right + wrong), abs=2e-6)
        assert metrics[split]["recall"] == pytest.approx(right / true, abs=2e-6)
        assert metrics[split]["boxes_per_picture"] == pytest.approx(true / len(TRUE[split]))
        assert metrics[split]["num_pictures"] == len(TRUE[split])


def test_intervals_and_differences_are_of_resampled_groups(report: Report) -> None:
    metrics = report[1]
    groups = [FINISHED.groups[row] for row in PLACES["test"]]
    (draws,) = grouped_bootstrap_weights(groups, 200, 3, "test")
    assert (draws[:, ::2] == draws[:, 1::2]).all()  # near-duplicates are drawn together
    own = counts_of(GIVEN["test"], TRUE["test"], metrics["threshold"])
    scores = np.unique(OTHER["val"][OTHER["val"][..., 5] >= 0][:, 4]).astype(float)
    cuts = {cut: f1_of(counts_of(OTHER["val"], TRUE["val"], cut)) for cut in scores}
    other = counts_of(OTHER["test"], TRUE["test"], max(cuts, key=cuts.__getitem__))
    many = np.array([[f1_of(own, of), f1_of(other, of)] for of in draws])
    for name, values in (("f1", many[:, 0]), ("worth", many[:, 0] - many[:, 1])):
        numbers = metrics["test"] if name == "f1" else metrics["worth"]
        key = "f1" if name == "f1" else "test_f1"
        for end, level in (("low", 0.05), ("high", 0.95)):
            wanted = np.quantile(values, level)
            assert numbers[f"{key}_{end}"] == pytest.approx(wanted, abs=2e-6), name
    row = metrics["baselines"]["linear_head"]
    assert row["strength"] == 0.5
    assert row["test_f1"] == pytest.approx(f1_of(other), abs=2e-6)


def test_a_resample_is_the_set_with_its_copies() -> None:
    found = measured_model(GIVEN, TRUE, {split: PLACES[split].astype(str) for split in PLACES}, 3)
    weights = np.random.default_rng(0).integers(0, 3, len(TRUE["val"]))
    numbers = found["val"].numbers(weights[None].astype(float))
    theirs = coco(found["val"].detections, found["val"].truths, weights, NUM_CLASSES).stats
    assert numbers.average_precision[0] == pytest.approx(theirs[0], abs=1e-9)
    assert numbers.average_precision_small[0] == pytest.approx(theirs[3], abs=1e-9)
    counts = counts_of(GIVEN["val"], TRUE["val"], found["val"].threshold)
    assert numbers.f1[0] == pytest.approx(f1_of(counts, weights))


def test_the_calibration_error_is_that_of_all_given_boxes(report: Report) -> None:
    pairs = [
        (row[4], fate == "right")
        for given, true in zip(GIVEN["test"], TRUE["test"], strict=True)
        for row, (fate, _) in zip(given, plainly_matched(given, true), strict=False)
        if fate != "ignored"
    ]
    score, right = np.array(pairs, dtype=float).T
    bins = np.digitize(score, np.arange(1, 7) / 7, right=True)
    ece = sum(abs((right - score)[bins == of].sum()) for of in range(7)) / len(score)
    assert report[1]["test"]["ece"] == pytest.approx(ece, abs=2e-6)
    table = pd.read_csv(report[0] / "reliability.csv")
    assert table["count"].sum() == len(score)


def test_tables_of_pictures_and_of_boxes(report: Report) -> None:
    folder, metrics = report
    table = pd.read_csv(folder / "predictions.csv")
    for split in PLACES:
        rows = table[table["split"] == split]
        counts = counts_of(GIVEN[split], TRUE[split], metrics["threshold"])
        assert (rows[["right", "false", "true"]].to_numpy() == counts).all()
        assert (rows["missed"] == rows["true"] - rows["right"]).all()
        is_shown = (GIVEN[split][..., 5] >= 0) & (GIVEN[split][..., 4] >= metrics["threshold"])
        assert (rows["given"].to_numpy() == is_shown.sum(axis=1)).all()
    test = table[table["split"] == "test"]
    boxes = pd.read_csv(folder / "detections.csv")
    assert len(boxes) == test["given"].sum()
    right = boxes[boxes["fate"] == "right"].groupby("id").size()
    assert right.to_dict() == test[test["right"] > 0].set_index("id")["right"].to_dict()
    per_class = pd.read_csv(folder / "per_class.csv")
    theirs = coco(detections_of(GIVEN["test"]), truths_of(TRUE["test"]), np.ones(50, int), 3)
    for k in range(NUM_CLASSES):
        wanted = theirs.eval["precision"][:, :, k, 0, 2].mean()
        assert per_class["average_precision"][k] == pytest.approx(wanted)
        only = [np.where((of[..., c] == k)[..., None], of, -1) for of, c in
                ((GIVEN["test"], 5), (TRUE["test"], 4))]  # fmt: skip
        assert per_class["f1"][k] == pytest.approx(f1_of(counts_of(*only, metrics["threshold"])))
    worst = pd.read_csv(folder / "most_wrong.csv")
    f1 = test["f1"].dropna().sort_values().to_numpy()
    np.testing.assert_allclose(worst["f1"], f1[: MEASURING.num_most_wrong])


def test_curves(report: Report) -> None:
    curves = pd.read_csv(report[0] / "precision_recall.csv", keep_default_na=False)
    assert curves["class"][0] == ""
    pairs = sorted(
        (
            (-row[4], fate == "right")
            for given, true in zip(GIVEN["test"], TRUE["test"], strict=True)
            for row, (fate, _) in zip(given, plainly_matched(given, true), strict=False)
            if fate != "ignored"
        ),
        key=lambda pair: pair[0],
    )
    right = np.cumsum([is_right for _, is_right in pairs])
    num_true = counts_of(GIVEN["test"], TRUE["test"], 0)[:, 2].sum()
    precision, recall = right / np.arange(1, len(right) + 1), right / num_true
    of_all = curves[curves["class"] == ""]
    for level, value in zip(of_all["recall"], of_all["precision"], strict=True):
        reached = precision[recall >= level]
        assert value == pytest.approx(reached.max() if len(reached) else 0.0)
    table = pd.read_csv(report[0] / "f1_by_threshold.csv")
    for row in table.iloc[[0, 20, 40]].itertuples():
        wanted = f1_of(counts_of(GIVEN["test"], TRUE["test"], row.threshold))
        assert row.f1 == pytest.approx(wanted)


def of_one_picture(true: list[list[float]], given: list[list[float]]) -> Any:
    """A model on a picture, with a threshold of 0.3 in place of a chosen one."""
    answers, targets = np.array([given], np.float32), np.array([true], np.float32)
    found = measured_model({"val": answers}, {"val": targets}, {"val": ["g"]}, 3)["val"]
    return replace(found, threshold=0.3)


TRUE_BOXES = [[0, 0, 20, 20, 0, 0], [40, 0, 60, 20, 1, 0], [0, 40, 20, 60, 2, 0],
              [60, 60, 90, 90, 0, 1]]  # fmt: skip
GIVEN_BOXES = [
    [0, 0, 20, 20, 0.9, 0],  # right
    [1, 0, 21, 20, 0.8, 0],  # once more
    [40, 0, 60, 20, 0.7, 2],  # of another class
    [10, 40, 30, 60, 0.6, 2],  # beside its truth
    [65, 65, 80, 80, 0.5, 0],  # in the crowd
    [100, 0, 120, 20, 0.4, 1],  # on nothing
    [0, 40, 20, 60, 0.2, 2],  # right, but below the threshold
]


def test_fates_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    of = of_one_picture(TRUE_BOXES, GIVEN_BOXES)
    fates = detections_table(["a"], NAMES, of)["fate"].tolist()
    assert fates == ["right", "duplicate", "classification", "localisation", "ignored",
                     "background"]  # fmt: skip
    assert found_truths(of).tolist() == [True, False, False, True]
    row = pictures_table(["a"], "test", of).iloc[0]
    assert row[["true", "given", "right", "missed", "false"]].tolist() == [3, 6, 1, 2, 4]
    assert row["f1"] == pytest.approx(2 / (3 + 5))
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr(pictures, "with_boxes", lambda *of: drawn.append(of) or of[0])
    chosen = choose_pictures(pictures_table(["a"], "test", of))
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    assert pictures.pictures_figure(chosen, image, ["a"], of, NAMES).startswith(b"\x89PNG")
    (_, boxes, _, labels, dashed), (_, given, colours, words, is_missed) = drawn
    assert (boxes == 3 * np.array(TRUE_BOXES)[:, :4]).all()
    assert labels == [NAMES[0], NAMES[1], NAMES[2], NAMES[0]]
    assert dashed == [False, False, False, True]
    assert (given[:6] == 3 * np.array(GIVEN_BOXES)[:6, :4]).all()
    assert (given[6:] == 3 * np.array(TRUE_BOXES)[[1, 2], :4]).all()
    assert is_missed == [False] * 4 + [True, False, True, True]
    assert words[0] == f"{NAMES[0]} 0.90"
    right, wrong, free, missed = colours[0], colours[1], colours[4], colours[6]
    assert colours == [right, wrong, wrong, wrong, free, wrong, missed, missed]
    assert len({right, wrong, free, missed}) == 4


def test_pictures_are_of_the_worst_the_median_and_the_best() -> None:
    f1 = [0.5, 0.0, 1.0, 0.2, np.nan, 0.7, 0.9, 0.3, 0.1]
    zero = dict.fromkeys(("true", "given", "right", "missed", "false"), 0)
    table = pd.DataFrame({"id": list("abcdefghi"), "split": "test", "f1": f1} | zero)
    found = choose_pictures(table).groupby("place")["id"].agg(list).to_dict()
    assert found == {"worst": ["b", "i"], "median": ["h", "a"], "best": ["g", "c"]}
    few = choose_pictures(table.head(3))
    assert few["id"].tolist() == ["b", "a", "c"]
    assert choose_pictures(table.assign(split="train")).empty


def test_errors_are_counted_and_gains_are_named(report: Report) -> None:
    table = pd.read_csv(report[0] / "errors.csv").set_index("kind")
    boxes = pd.read_csv(report[0] / "detections.csv")
    for kind in ("localisation", "classification", "duplicate", "background", "both"):
        assert table["count"][kind] == (boxes["fate"] == kind).sum()
    np.testing.assert_allclose(table["per_picture"], table["count"] / 50)
    assert (table["per_picture_low"] <= table["per_picture"]).all()
    errors = report[1]["errors"]
    best = max(errors, key=lambda kind: errors[kind]["gain"])
    (part,) = (part for part in read_parts(report[0]) if part.title == "Kinds of errors")
    assert f"{errors[best]['gain']:+.3f} [" in part.text[1]


def test_gaps_have_their_sign(report: Report) -> None:
    metrics = report[1]
    for name in ("average_precision", "f1"):
        difference = metrics["train"][name] - metrics["test"][name]
        assert metrics["gap"][f"train_minus_test_{name}"] == pytest.approx(difference, abs=2e-6)


def nothing_given(of: Finished) -> Finished:
    answers = np.zeros_like(of.answers)
    answers[..., 5] = -1
    return replace(of, answers=answers)


def nothing_true(of: Finished) -> Finished:
    targets = of.targets.copy()
    targets[PLACES["test"], :, 4] = -1
    return replace(of, targets=targets)


def only_crowds(of: Finished) -> Finished:
    targets = of.targets.copy()
    targets[PLACES["test"], :, 5] = 1
    return replace(of, targets=targets)


def no_room(of: Finished) -> Finished:
    return replace(of, answers=of.answers[:, :0], targets=of.targets[:, :0])


@pytest.mark.parametrize("change", [nothing_given, nothing_true, only_crowds, no_room])
def test_what_is_rare_is_reported_too(change: Any, tmp_path: Path) -> None:
    own, few = report_for("detection", NAMES, FACTS), replace(MEASURING, num_resamples=10)
    finished = change(FINISHED)
    metrics = own.write(finished, few, tmp_path / "a")
    found = metrics["test"]["average_precision"]
    assert found == 0 if change is nothing_given else np.isnan(found)
    assert read_json(tmp_path / "a" / "metrics.json")["test"]["num_pictures"] == 50
    assert json.dumps([part.text for part in read_parts(tmp_path / "a")])


def test_answers_are_the_decoded_boxes_and_rows_without_any() -> None:
    own = report_for("detection", NAMES, FACTS)
    stream = torch.Generator().manual_seed(0)
    output = torch.randn(2, 16 * 16 + 8 * 8 + 4 * 4, NUM_CLASSES + 5, generator=stream)
    output[..., -5:-1] = 10 + output[..., -5:-1].abs()
    output[1, :, :NUM_CLASSES] = -20  # nothing to be seen
    found = own.answers(output)
    decoding = DecodingSettings(max_detections=MOST_GIVEN)
    (wanted, none) = decode(output, grid_points(SIZES), (SIDE, SIDE), decoding)
    assert found.shape == (2, MOST_GIVEN, 6)
    assert (found[0, :, :4] == wanted.boxes).all()
    assert (found[0, :, 4] == wanted.scores).all()
    assert (found[0, :, 5] == wanted.classes).all()
    assert len(none.boxes) == 0
    assert (found[1] == torch.tensor([0, 0, 0, 0, 0, -1.0])).all()
