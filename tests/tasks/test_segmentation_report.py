"""Every number of the report of masks against torch, scikit-learn and loops."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.stats import binomtest
from sklearn import metrics as theirs

from sftcore.foundations.errors import DataError
from sftcore.metrics.binned_calibration import perfect_binned_calibration
from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.reporting.parts import read_parts
from sftcore.tasks.report_contract import Known, Shown
from sftcore.tasks.reports import report_for
from sftcore.tasks.segmentation import records as records_module
from sftcore.tasks.segmentation.records import measure_pictures
from sftcore.tasks.segmentation.results_parts import results_parts
from sftcore.tasks.segmentation.tables import shown_pictures
from tests.tasks.finished import MEASURING, NAMES, PLACES, SIDE, made_masks
from tests.tasks.test_reports import rows_to_beat

FINISHED, FACTS, FEATURES = made_masks()
OWN = report_for("segmentation", NAMES, FACTS)
CLASSES = range(3)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("masks") / "report"
    return folder, OWN.write(FINISHED, MEASURING, folder, rows_to_beat(OWN, FINISHED, FEATURES))


def whole(answers: np.ndarray) -> torch.Tensor:
    """Logits at the pixels [N, K, S, S]."""
    size = (SIDE, SIDE)
    return F.interpolate(torch.from_numpy(answers), size, mode="bilinear", align_corners=False)


def pixels(answers: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [P, 3] and classes [P] of the labelled pixels."""
    labels = masks.ravel().astype(int)
    rows = whole(answers).permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
    return rows[labels != 255], labels[labels != 255]


def expected(answers: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    rows, labels = pixels(answers, masks)
    found = rows.argmax(axis=1)
    occur = sorted(set(labels) | set(found))
    iou = theirs.jaccard_score(labels, found, labels=occur, average=None, zero_division=0)
    support = np.array([(labels == k).mean() for k in occur])
    return {
        "mean_iou": iou.mean(),
        "mean_dice": theirs.f1_score(labels, found, labels=occur, average="macro", zero_division=0),
        "pixel_accuracy": theirs.accuracy_score(labels, found),
        "mean_class_accuracy": np.mean([(found[labels == k] == k).mean() for k in set(labels)]),
        "frequency_iou": float(support @ iou),
        "nll": float(F.cross_entropy(torch.from_numpy(rows), torch.from_numpy(labels))),
    }


def calibration_error(rows: np.ndarray, labels: np.ndarray) -> float:
    p = torch.from_numpy(rows).softmax(dim=1).numpy()
    confidence, is_right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.digitize(confidence, np.arange(1, 7) / 7, right=True)
    return sum(abs((is_right - confidence)[bins == of].sum()) for of in range(7)) / len(labels)


def boundary_pixels(mask: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Places of the class with a known neighbour of another class, [n, 2]."""
    found = []
    for y, x in zip(*np.nonzero((mask == k) & (truth != 255)), strict=True):
        for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            inside = 0 <= v < SIDE and 0 <= u < SIDE
            if inside and truth[v, u] != 255 and mask[v, u] != k:
                found.append((y, x))
                break
    return np.array(found).reshape(-1, 2)


def boundary_f1(answers: np.ndarray, masks: np.ndarray) -> list[float]:
    """Of each class, from all pairs of boundary pixels."""
    sums = np.zeros((3, 4))
    near = 0.0075 * SIDE * 2**0.5
    for truth, found in zip(masks, whole(answers).argmax(dim=1).numpy(), strict=True):
        for k in CLASSES:
            said, true = boundary_pixels(found, truth, k), boundary_pixels(truth, truth, k)
            distance = cdist(said, true) if len(said) and len(true) else np.full((1, 1), np.inf)
            hits = [(distance.min(axis=axis) < near).sum() for axis in (1, 0)]
            sums[k] += [len(said), hits[0], len(true), hits[1]]
    precision, recall = sums[:, 1] / sums[:, 0], sums[:, 3] / sums[:, 2]
    return (2 * precision * recall / (precision + recall)).tolist()


@pytest.mark.parametrize("split", PLACES)
def test_every_number_is_that_of_the_pixels(
    split: str, report: tuple[Path, dict[str, Any]]
) -> None:
    answers, masks = FINISHED.answers[PLACES[split]], FINISHED.targets[PLACES[split]]
    numbers = report[1][split]
    for name, value in expected(answers, masks).items():
        assert numbers[name] == pytest.approx(value, abs=2e-6), name
    assert numbers["ece"] == pytest.approx(calibration_error(*pixels(answers, masks)), abs=2e-6)
    assert numbers["boundary_f1"] == pytest.approx(np.mean(boundary_f1(answers, masks)), abs=2e-6)
    assert numbers["num_pictures"] == len(PLACES[split])
    assert numbers["num_groups"] == len(PLACES[split]) / 2
    assert numbers["num_pixels"] == (masks != 255).sum()
    assert numbers["ece_if_perfect_mean"] < numbers["ece_if_perfect_high"]


def resampled(answers: np.ndarray, masks: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Mean IoU and loss of each draw of pictures, from confusion and losses of single pictures."""
    of_pictures = [pixels(answers[[row]], masks[[row]]) for row in range(len(masks))]
    matrices, losses = np.zeros((len(masks), 3, 3)), np.zeros(len(masks))
    for row, (logits, labels) in enumerate(of_pictures):
        for pair in zip(labels, logits.argmax(axis=1), strict=True):
            matrices[row][pair] += 1
        both = torch.from_numpy(logits), torch.from_numpy(labels)
        losses[row] = float(F.cross_entropy(*both, reduction="sum"))
    found: dict[str, list[float]] = {"mean_iou": [], "nll": []}
    for draw in draws:
        rows = np.repeat(np.arange(len(masks)), draw.astype(int))
        matrix = matrices[rows].sum(axis=0)
        either = matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal()
        found["mean_iou"].append(float(np.mean(matrix.diagonal() / either)))
        found["nll"].append(losses[rows].sum() / matrix.sum())
    return {name: np.array(values) for name, values in found.items()}


def test_intervals_and_what_fine_tuning_is_worth_are_of_the_same_resampled_groups(
    report: tuple[Path, dict[str, Any]],
) -> None:
    metrics, rows = report[1], PLACES["test"]
    (draws,) = grouped_bootstrap_weights([FINISHED.groups[row] for row in rows], 200, 3, "test")
    assert (draws[:, ::2] == draws[:, 1::2]).all()  # near-duplicates are drawn together
    (head,) = (b for b in rows_to_beat(OWN, FINISHED, FEATURES) if b.name == "linear_head")
    own, other = (
        resampled(of, FINISHED.targets[rows], draws) for of in (FINISHED.answers[rows], head.test)
    )
    for name, sign in (("mean_iou", 1), ("nll", -1)):
        gains = sign * (own[name] - other[name])
        for end, quantile in (("low", 0.05), ("high", 0.95)):
            found = metrics["test"][f"{name}_{end}"], metrics["worth"][f"test_{name}_{end}"]
            wanted = np.quantile(own[name], quantile), np.quantile(gains, quantile)
            assert found == pytest.approx(wanted, abs=3e-6), name


def test_rows_to_beat_are_measured_on_their_own_splits(
    report: tuple[Path, dict[str, Any]],
) -> None:
    metrics = report[1]
    rows = rows_to_beat(OWN, FINISHED, FEATURES)
    assert [row.name for row in rows] == list(metrics["baselines"])
    for row in rows:
        for split, answers in (("val", row.val), ("test", row.test)):
            for name, value in expected(answers, FINISHED.targets[PLACES[split]]).items():
                found = metrics["baselines"][row.name][f"{split}_{name}"]
                assert found == pytest.approx(value, abs=2e-6), name
    gap = metrics["gap"]["train_minus_test_mean_iou"]
    assert gap == pytest.approx(
        metrics["train"]["mean_iou"] - metrics["test"]["mean_iou"], abs=2e-6
    )


def test_the_temperature_is_that_of_the_least_loss_on_validation(
    report: tuple[Path, dict[str, Any]],
) -> None:
    found, rows = report[1]["temperature"], PLACES["val"]
    logits, labels = (
        torch.from_numpy(of) for of in pixels(FINISHED.answers[rows], FINISHED.targets[rows])
    )
    best = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / t, labels)), bounds=(0.1, 10), method="bounded"
    )
    assert abs(best.x - 1) > 0.1  # else a temperature of one would pass
    assert found["temperature"] == pytest.approx(best.x, rel=0.01)  # of all pixels, not a sample
    rows = PLACES["test"]
    answers = FINISHED.answers[rows] / np.float32(found["temperature"])
    scaled = pixels(answers, FINISHED.targets[rows])
    assert found["test_nll"] == pytest.approx(
        expected(answers, FINISHED.targets[rows])["nll"], abs=1e-5
    )
    assert found["test_ece"] == pytest.approx(calibration_error(*scaled), abs=1e-5)
    table = pd.read_csv(report[0] / "reliability_scaled.csv")
    error = table["num_pixels"] @ (table["accuracy"] - table["confidence"]).abs()
    assert found["test_ece"] == pytest.approx(error / table["num_pixels"].sum(), abs=1e-6)


def test_predictions_tell_of_each_picture_by_itself(report: tuple[Path, dict[str, Any]]) -> None:
    table = pd.read_csv(report[0] / "predictions.csv")
    assert table["id"].tolist() == [f"'={row:03d}" for row in range(200)]
    assert table["split"].tolist() == list(FINISHED.splits)
    assert table["group"].tolist() == list(FINISHED.groups)
    for row in (0, 7, 89, 102, 199):
        answers, masks = FINISHED.answers[[row]], FINISHED.targets[[row]]
        values, (logits, labels) = expected(answers, masks), pixels(answers, masks)
        told = table.loc[row]
        assert told["num_pixels"] == len(labels)
        assert told["loss"] == pytest.approx(values["nll"])
        assert told["mean_iou"] == pytest.approx(values["mean_iou"])
        assert told["pixel_accuracy"] == pytest.approx(values["pixel_accuracy"])
        for name, present in (("classes", labels), ("predicted", logits.argmax(axis=1))):
            assert json.loads(told[name]) == [NAMES[k] for k in sorted(set(present.tolist()))]
    unlabelled = table.loc[PLACES["test"][11]]
    assert unlabelled["num_pixels"] == 0
    assert unlabelled[["loss", "mean_iou", "pixel_accuracy"]].isna().all()
    assert unlabelled["classes"] == "[]"


def test_tables_of_classes_and_of_pairs_of_them(report: tuple[Path, dict[str, Any]]) -> None:
    folder, rows = report[0], PLACES["test"]
    logits, labels = pixels(FINISHED.answers[rows], FINISHED.targets[rows])
    found, table = logits.argmax(axis=1), pd.read_csv(folder / "per_class.csv")
    for name, score in (
        ("iou", theirs.jaccard_score),
        ("dice", theirs.f1_score),
        ("precision", theirs.precision_score),
        ("recall", theirs.recall_score),
    ):
        np.testing.assert_allclose(table[name], score(labels, found, average=None))
    f1 = boundary_f1(FINISHED.answers[rows], FINISHED.targets[rows])
    np.testing.assert_allclose(table["boundary_f1"], f1)
    assert ((table["iou_low"] < table["iou"]) & (table["iou"] < table["iou_high"])).all()
    np.testing.assert_allclose(table["share"], np.bincount(labels) / len(labels))
    shown = [(FINISHED.targets[rows] == k).any(axis=(1, 2)).sum() for k in CLASSES]
    assert table["num_pictures"].tolist() == shown
    pairs = pd.read_csv(folder / "confusion.csv")
    matrix = theirs.confusion_matrix(labels, found)
    assert pairs["num_pixels"].tolist() == matrix.ravel().tolist()
    assert pairs["actual"].tolist() == [f"'{NAMES[0]}"] * 3 + [NAMES[1]] * 3 + [NAMES[2]] * 3
    np.testing.assert_allclose(pairs["part"], (matrix / matrix.sum(axis=1)[:, None]).ravel())


def test_pictures_that_are_shown_are_the_worst_the_middle_and_the_best(
    report: tuple[Path, dict[str, Any]],
) -> None:
    predictions = pd.read_csv(report[0] / "predictions.csv")
    own = predictions[predictions["split"] == "test"]["mean_iou"].dropna().sort_values().to_numpy()
    shown = pd.read_csv(report[0] / "pictures.csv")
    assert shown["place"].tolist() == ["worst"] * 5 + ["middle"] * 2 + ["best"] * 2
    np.testing.assert_allclose(shown["mean_iou"], [*own[:5], *own[23:25], *own[-2:]])
    for num_test in range(1, 9):
        few = shown_pictures(predictions[predictions["split"] == "test"][:num_test], 5)
        assert few["id"].is_unique
        assert 1 <= len(few) <= num_test
        assert (few["place"] == "worst").any()


def test_pairs_count_pictures_with_the_higher_iou(report: tuple[Path, dict[str, Any]]) -> None:
    rows = PLACES["test"]
    (head,) = (b for b in rows_to_beat(OWN, FINISHED, FEATURES) if b.name == "linear_head")
    labelled = [place for place, row in enumerate(rows) if (FINISHED.targets[row] != 255).any()]
    mine, other = (
        [expected(of[[place]], FINISHED.targets[rows[[place]]])["mean_iou"] for place in labelled]
        for of in (FINISHED.answers[rows], head.test)
    )
    better = sum(a > b for a, b in zip(mine, other, strict=True))
    worse = sum(a < b for a, b in zip(mine, other, strict=True))
    paired = report[1]["paired"]
    assert (paired["num_better"], paired["num_worse"]) == (better, worse)
    assert paired["num_pictures"] == 50
    assert paired["p_value"] == pytest.approx(binomtest(better, better + worse).pvalue, abs=1e-6)
    assert f"model on {better}, with the linear head on {worse} (p" in OWN.last_lines(report[1])[0]
    assert f"{better} have a higher" in read_parts(report[0])[0].text[2]


def test_a_class_that_occurs_nowhere_has_no_number(tmp_path: Path) -> None:
    answers, masks = FINISHED.answers.copy(), FINISHED.targets.copy()
    answers[:, 2] = -50
    masks[masks == 2] = 1
    finished = replace(FINISHED, answers=answers, targets=masks)
    metrics = OWN.write(finished, MEASURING, tmp_path / "a")
    wanted = expected(answers[PLACES["test"]], masks[PLACES["test"]])
    assert metrics["test"]["mean_iou"] == pytest.approx(wanted["mean_iou"], abs=2e-6)
    table = pd.read_csv(tmp_path / "a" / "per_class.csv")
    columns = ["iou", "iou_low", "dice", "precision", "recall", "boundary_f1", "boundary_f1_low"]
    assert table[columns].isna().all(axis=1).tolist() == [False, False, True]
    assert pd.read_csv(tmp_path / "a" / "confusion.csv")["part"].isna().tolist() == 6 * [0] + 3 * [
        1
    ]


def test_a_split_without_a_label_is_refused(tmp_path: Path) -> None:
    masks = FINISHED.targets.copy()
    masks[PLACES["val"]] = 255
    with pytest.raises(DataError, match="no pixel of split val is labelled"):
        OWN.write(replace(FINISHED, targets=masks), MEASURING, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_pictures_without_a_finite_answer_are_counted_and_not_their_pixels(tmp_path: Path) -> None:
    answers = FINISHED.answers.copy()
    answers[4, 1:], answers[9, 0, 2, 3] = np.nan, np.inf
    with pytest.raises(DataError, match="no finite answer for 2 of 200 examples"):
        OWN.write(replace(FINISHED, answers=answers), MEASURING, tmp_path / "never")


def test_a_picture_is_brought_to_its_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, enlarge = [], records_module.upsample

    def spy(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        sizes.append(len(x))
        return enlarge(x, size)

    monkeypatch.setattr(records_module, "upsample", spy)
    measure_pictures(FINISHED.answers[:9], FINISHED.targets[:9], 7)
    assert sizes == [1] * 9


def test_rows_to_beat_need_maps() -> None:
    shown = Shown(FEATURES, lambda: FINISHED.examples)
    known = Known(FEATURES, lambda: FINISHED.examples, torch.from_numpy(FINISHED.targets))
    with pytest.raises(ValueError, match="maps"):
        OWN.rows_to_beat(known, known, shown)


def test_few_groups_are_said_to_show_nothing(report: tuple[Path, dict[str, Any]]) -> None:
    """Signs of five groups are all equal in 1 of 16 cases, of four in 1 of 8; asked is 1 in 10."""
    for num_groups, is_said in ((4, True), (5, False)):
        metrics = report[1] | {"test": report[1]["test"] | {"num_groups": num_groups}}
        text = " ".join(words for part in results_parts(metrics) for words in part.text)
        assert ("So few groups" in text) == is_said
        assert f"the {num_groups} groups of test pictures" in text


def test_luck_of_two_groups_is_all_that_their_signs_can_make() -> None:
    """Excesses of two groups in two bins add up or cancel, each in half of the cases."""
    histograms = np.zeros((3, 2, 3))
    histograms[:, :, 0] = 10
    histograms[:, :, 1] = [[6, 3], [5, 4], [2, 9]]
    histograms[:, :, 2] = [[4, 6], [4, 6], [4, 6]]
    one, other = np.array([3, -5]), np.array([-2, 3])  # pictures 0 and 1 are one group
    sizes = [np.abs(one + sign * other).sum() / 60 for sign in (1, -1)]
    found = perfect_binned_calibration(
        histograms, ["a", "a", "b"], num_resamples=4000, confidence=0.9, seed=0, purpose="test"
    )
    assert found.mean == pytest.approx(np.mean(sizes), abs=0.006)
    assert found.high == pytest.approx(max(sizes))


def test_a_calibrated_model_lies_above_the_bound_as_rarely_as_is_said() -> None:
    """Pixels of a picture are all right or all wrong: luck is that of 40 pictures, not of 4000."""
    is_above = []
    for seed in range(150):
        stream = np.random.default_rng(seed)
        confidence = stream.uniform(0.4, 1, size=40)
        is_right = stream.random(40) < confidence
        bins = np.minimum((confidence * 5).astype(int), 4)
        histograms = np.zeros((40, 5, 3))
        histograms[np.arange(40), bins] = np.stack(
            [np.full(40, 100), 100 * is_right, 100 * confidence], axis=1
        )
        found = perfect_binned_calibration(
            histograms, np.arange(40), num_resamples=200, confidence=0.9, seed=seed, purpose="test"
        )
        ece = np.abs((histograms[..., 1] - histograms[..., 2]).sum(axis=0)).sum() / 4000
        is_above.append(ece > found.high)
    assert 0.03 < np.mean(is_above) < 0.17
