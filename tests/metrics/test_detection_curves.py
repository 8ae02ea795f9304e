"""Curves, thresholds and calibration of detections against loops that match anew."""

import numpy as np
import pytest

from sftcore.metrics.binned_calibration import binned_calibration
from sftcore.metrics.detection import detection_metrics
from sftcore.metrics.detection_curves import (
    choose_shared_threshold,
    choose_thresholds,
    detection_histograms,
    precision_curves,
    threshold_metrics,
)
from sftcore.metrics.detection_matching import Matches, match_detections
from sftcore.metrics.detection_records import Detections, Truths, plain_truths
from tests.metrics.detection_cases import apart_within_pictures, coco, made

N, K = 4, 3


def matched(sets: tuple[Detections, Truths]) -> Matches:
    return match_detections(*sets, N, K)


def times(seed: int) -> np.ndarray:
    counts = np.random.default_rng(seed).integers(0, 3, (3, N))
    counts[:, 0] += 1
    return counts


@pytest.mark.parametrize("seed", range(25))
def test_precision_over_recall_is_that_of_pycocotools(seed: int) -> None:
    sets, counts = apart_within_pictures(*made(seed), seed), times(seed)
    ours = precision_curves(matched(sets), counts.astype(float))
    for row, of in enumerate(counts):
        theirs = coco(*sets, of, K).eval["precision"][0, :, :, 0, 2].T
        np.testing.assert_array_equal(ours.occurs[row], theirs[:, 0] > -1)
        occurs = ours.occurs[row]
        np.testing.assert_allclose(ours.precision[row][occurs], theirs[occurs], atol=1e-9)
    metrics = detection_metrics(matched(sets), counts.astype(float))
    np.testing.assert_allclose(ours.precision.mean(axis=2), metrics.class_ap50, atol=1e-12)


def counted_anew(
    sets: tuple[Detections, Truths], thresholds: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Hits, detections and truths of each class [K, 3], by pycocotools on what is left."""
    detections, truths = sets
    keep = detections.score >= thresholds[detections.label]
    kept = Detections(**{name: column[keep] for name, column in vars(detections).items()})
    table = np.zeros((K, 3))
    for picture in coco(kept, truths, np.ones(N, dtype=int), K).evalImgs:
        if picture is None or picture["aRng"] != [0, 1e10]:
            continue
        counts = ~picture["dtIgnore"][0]
        hits = (picture["dtMatches"][0] > 0) & counts
        of = [hits.sum(), counts.sum(), (np.array(picture["gtIgnore"]) == 0).sum()]
        table[picture["category_id"]] += weights[picture["image_id"]] * np.array(of)
    return table


@pytest.mark.parametrize("seed", range(15))
def test_f1_at_a_threshold_is_that_of_the_detections_that_are_left(seed: int) -> None:
    sets, weights = made(seed), times(seed).astype(float)
    thresholds = np.array([[0.0] * K, [0.3] * K, [0.5, 0.1, 0.7], [1.0] * K, [1.1] * K])
    ours = threshold_metrics(matched(sets), weights, thresholds)
    for w, of in enumerate(weights):
        for s, least in enumerate(thresholds):
            table = counted_anew(sets, least, of)
            f1 = []
            for k, (hits, claimed, true) in enumerate(table.tolist()):
                assert ours.precision[w, s, k] == pytest.approx(hits / claimed if claimed else 0)
                assert ours.recall[w, s, k] == pytest.approx(hits / true if true else 0)
                f1.append(2 * hits / (claimed + true) if claimed + true else 0)
                assert ours.f1[w, s, k] == pytest.approx(f1[-1])
            hits, claimed, true = table.sum(axis=0).tolist()
            assert ours.micro_precision[w, s] == pytest.approx(hits / claimed if claimed else 0)
            assert ours.micro_recall[w, s] == pytest.approx(hits / true if true else 0)
            whole = claimed + true
            assert ours.micro_f1[w, s] == pytest.approx(2 * hits / whole if whole else 0)
            occurs = table[:, 2] > 0
            np.testing.assert_array_equal(ours.occurs[w], occurs)
            macro = np.mean(np.array(f1)[occurs]) if occurs.any() else np.nan
            np.testing.assert_allclose(ours.macro_f1[w, s], macro)


def test_one_threshold_serves_all_classes() -> None:
    matches = matched(made(3))
    one = threshold_metrics(matches, np.ones((1, N)), np.array([[0.2], [0.4]]))
    all_ = threshold_metrics(matches, np.ones((1, N)), np.array([[0.2] * K, [0.4] * K]))
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(all_, name))


@pytest.mark.parametrize("seed", range(25))
def test_no_threshold_is_better_than_the_chosen_one(seed: int) -> None:
    matches = matched(made(seed))
    steps = np.linspace(0, 1, 101)
    every = threshold_metrics(matches, np.ones((1, N)), steps[:, None])
    chosen = threshold_metrics(matches, np.ones((1, N)), choose_thresholds(matches)[None])
    shared = threshold_metrics(
        matches, np.ones((1, N)), np.array([[choose_shared_threshold(matches)]])
    )
    np.testing.assert_allclose(chosen.f1[0, 0], every.f1[0].max(axis=0))
    np.testing.assert_allclose(shared.micro_f1[0, 0], every.micro_f1[0].max())
    assert (choose_thresholds(matches)[~every.occurs[0]] == 0.5).all()


def ranked(*rows: tuple[int, float, bool], num_truths: int) -> Matches:
    """Detections of one picture, right or wrong, as a record."""
    box = np.arange(len(rows))[:, None] * 20 + np.array([0, 0, 10, 10])
    label, score, is_right = (np.array(column) for column in zip(*rows, strict=True))
    more = max(0, num_truths - int(is_right.sum()))
    places = np.concatenate([box[is_right], np.full((more, 4), [0, 5000, 10, 5010])])
    labels = np.concatenate([label[is_right], np.zeros(more, dtype=int)])
    found = Detections(np.zeros(len(rows), int), label, box, score)
    return match_detections(found, plain_truths(np.zeros(len(places), int), labels, places), 1, 2)


def test_thresholds_by_hand() -> None:
    # F1 2/3 with one, 1/2 with two, 4/5 with three
    three = ranked((0, 0.9, True), (0, 0.8, False), (0, 0.4, True), (0, 0.2, False), num_truths=2)
    np.testing.assert_allclose(choose_thresholds(three), [0.3, 0.5])
    # everything between .3 and .9 is as good, and .5 nearer to itself than the middle
    assert choose_thresholds(ranked((0, 0.9, True), (0, 0.3, False), num_truths=1))[0] == 0.5
    # F1 of 2/4 with one of three truths found, and 4/8 with two among five: not the lower threshold
    rows = [(0, 0.8, True), (0, 0.7, False), (0, 0.65, False), (0, 0.6, False), (0, 0.1, True)]
    assert choose_thresholds(ranked(*rows, num_truths=3))[0] == pytest.approx(0.75)
    rows = [(0, 0.8, True), (0, 0.3, False), (0, 0.25, False), (0, 0.2, False), (0, 0.1, True)]
    assert choose_thresholds(ranked(*rows, num_truths=3))[0] == 0.5
    assert choose_shared_threshold(ranked((1, 0.3, True), (0, 0.1, False), num_truths=1)) == 0.2
    assert choose_shared_threshold(ranked((0, 0.5, False), num_truths=0)) == 0.5


@pytest.mark.parametrize("seed", range(10))
def test_calibration_is_of_the_detections_that_count(seed: int) -> None:
    sets, counts, num_bins = made(seed), times(seed), 5
    matches = matched(sets)
    histograms = detection_histograms(matches, num_bins)
    ours = binned_calibration(histograms, counts.astype(float))
    for row, of in enumerate(counts):
        bins: dict[int, list[tuple[float, bool]]] = {}
        for picture, score, outcome in zip(
            matches.picture, matches.score, matches.outcome[:, 0, 0], strict=True
        ):
            if outcome >= 0:
                number = max(0, int(np.ceil(score * num_bins)) - 1)
                bins.setdefault(number, []).extend([(score, outcome == 1)] * of[picture])
        total = sum(map(len, bins.values()))
        error = sum(abs(sum(right - score for score, right in of)) for of in bins.values())
        np.testing.assert_allclose(ours.ece[row], error / total if total else np.nan)
    assert histograms[..., 0].sum() == (matches.outcome[:, 0, 0] >= 0).sum()


def test_nothing_at_all() -> None:
    empty = np.zeros(0, int)
    nothing = Detections(empty, empty, np.zeros((0, 4)), np.zeros(0))
    matches = matched((nothing, plain_truths(empty, empty, np.zeros((0, 4)))))
    assert choose_thresholds(matches).tolist() == [0.5] * K
    assert choose_shared_threshold(matches) == 0.5
    found = threshold_metrics(matches, np.ones((1, N)), np.array([[0.5]]))
    assert (found.micro_f1[0, 0], np.isnan(found.macro_f1[0, 0])) == (0, True)
    assert not precision_curves(matches, np.ones((1, N))).occurs.any()
    assert np.isnan(binned_calibration(detection_histograms(matches, 5), np.ones((1, N))).ece[0])


def test_pieces_of_weightings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matches, weights = matched(made(11)), np.random.default_rng(0).integers(0, 3, (9, N)) * 1.0
    whole = [precision_curves(matches, weights), threshold_metrics(matches, weights, np.eye(K))]
    monkeypatch.setattr("sftcore.metrics.ranked_precision._CHUNK_ELEMENTS", 30)
    parts = [precision_curves(matches, weights), threshold_metrics(matches, weights, np.eye(K))]
    for one, other in zip(whole, parts, strict=True):
        for name in vars(one):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
