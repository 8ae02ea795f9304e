"""The rows to beat against independent computations, and how they are compared with a model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from sftcore.metrics.paired_test import smallest_difference
from sftcore.metrics.rows_to_beat import NEIGHBOURS, nearest_rows
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.pipeline.results import first_answer, headline_metrics
from sftcore.tasks.classification.baselines import (
    Baseline,
    logistic_regression,
    most_frequent,
    nearest_neighbours,
    rows_to_beat,
    votes,
)
from sftcore.tasks.classification.predictions import predictions_table
from sftcore.tasks.classification.report import write_report

C = 4


def pictures(count: int, seed: int, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features around a direction per class, and class indices."""
    stream = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(C, 12))
    labels = stream.choice(C, size=count, p=[0.4, 0.3, 0.2, 0.1])
    features = centres[labels] + noise * stream.normal(size=(count, 12))
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


TRAIN, VAL, TEST = pictures(120, 0), pictures(60, 1), pictures(50, 2)


def loss(probability: np.ndarray, labels: Tensor) -> float:
    return float(-np.log(probability[np.arange(len(labels)), labels.numpy()]).mean())


def test_the_most_frequent_class_is_that_of_training() -> None:
    row = most_frequent(TRAIN[1], 60, 50, C)
    counts = TRAIN[1].bincount(minlength=C).numpy()
    np.testing.assert_allclose(row.test, np.tile((counts + 1 / C) / 121, (50, 1)))
    assert row.val.shape == (60, C)
    assert (row.val.argmax(axis=1) == counts.argmax()).all()


@pytest.mark.parametrize("k", NEIGHBOURS)
def test_neighbours_are_scikit_learns(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sftcore.metrics.rows_to_beat._CHUNK_ELEMENTS", 7 * len(TRAIN[0])
    )  # several chunks
    found = votes(TRAIN[1][nearest_rows(TRAIN[0], TEST[0], k)], C).numpy()
    theirs = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(*TRAIN)
    shares = theirs.predict_proba(TEST[0].numpy())
    np.testing.assert_allclose(found, (shares * k + 1 / C) / (k + 1), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_number_of_neighbours_has_the_least_validation_loss() -> None:
    row = nearest_neighbours(TRAIN, VAL, TEST[0], C)
    losses = {
        k: loss(votes(TRAIN[1][nearest_rows(TRAIN[0], VAL[0], k)], C).numpy(), VAL[1])
        for k in NEIGHBOURS
    }
    assert row.settings == {"num_neighbours": min(losses, key=losses.__getitem__)}
    assert loss(row.val, VAL[1]) == pytest.approx(min(losses.values()))
    few = TRAIN[0][:4], TRAIN[1][:4]
    assert nearest_neighbours(few, VAL, TEST[0], C).settings["num_neighbours"] <= 3


def test_logistic_regression_is_scikit_learns_at_the_chosen_strength() -> None:
    row = logistic_regression(TRAIN, VAL, TEST[0], C)
    features = TRAIN[0].double().numpy()
    variance = float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean())
    losses, predictions = {}, {}
    for strength in STRENGTHS:
        theirs = LogisticRegression(
            C=1 / (strength * variance * len(features)), tol=1e-10, max_iter=10_000
        ).fit(features, TRAIN[1].numpy())
        losses[strength] = loss(theirs.predict_proba(VAL[0].double().numpy()), VAL[1])
        predictions[strength] = theirs.predict_proba(TEST[0].double().numpy())
    chosen = min(losses, key=losses.__getitem__)
    assert row.settings == {"strength": chosen}
    np.testing.assert_allclose(row.test, predictions[chosen], atol=1e-3)


def test_all_rows_are_the_same_twice() -> None:
    first, second = (rows_to_beat(TRAIN, VAL, TEST[0], C) for _ in range(2))
    assert [row.name for row in first] == [
        "most_frequent", "nearest_neighbours", "logistic_regression",
    ]  # fmt: skip
    for one, other in zip(first, second, strict=True):
        assert one.settings == other.settings
        assert (one.val == other.val).all()
        assert (one.test == other.test).all()


def report(output: Path, model: Baseline, rows: list[Baseline], group_size: int = 1) -> dict:
    labels = torch.cat([TRAIN[1], VAL[1], TEST[1]]).numpy()
    splits = ["train"] * 120 + ["val"] * 60 + ["test"] * 50
    probability = np.concatenate([np.full((120, C), 1 / C), model.val, model.test])
    ids = [f"{i:03d}" for i in range(230)]
    table = predictions_table(probability, labels, list("abcd"), ids, splits)
    return write_report(
        table, list("abcd"), np.zeros((230, 8, 8, 3), np.uint8),
        groups=[f"{split}{i // group_size}" for i, split in enumerate(splits)],
        num_bootstrap=300, confidence=0.9, num_calibration_bins=5, num_most_wrong=2, seed=0,
        output=output, baselines=rows,
    )  # fmt: skip


def test_worth_is_paired_and_more_is_better(tmp_path: Path) -> None:
    rows = rows_to_beat(TRAIN, VAL, TEST[0], C)
    frequent, _, logistic = rows
    same = report(tmp_path / "same", logistic, rows)["worth"]
    assert set(same.values()) == {0.0}  # not even an interval: it is one model, picture by picture
    better = Baseline("better", {}, *(
        0.9 * np.eye(C)[labels.numpy()] + 0.1 / C for _, labels in (VAL, TEST)
    ))  # fmt: skip
    worth = report(tmp_path / "better", better, rows)["worth"]
    assert worth["test_nll_low"] > 0
    assert worth["test_accuracy_low"] > 0
    gain = (better.test.argmax(1) == TEST[1].numpy()) * 1.0 - (
        logistic.test.argmax(1) == TEST[1].numpy()
    )
    assert worth["test_accuracy"] == pytest.approx(gain.mean(), abs=1e-6)
    assert worth["test_nll"] == pytest.approx(
        loss(logistic.test, TEST[1]) - loss(better.test, TEST[1]), abs=1e-6
    )
    worse = report(tmp_path / "worse", frequent, rows)["worth"]
    assert worse["test_nll_high"] < 0
    assert worse["test_balanced_accuracy_high"] < 0


def test_where_exactly_one_is_right_is_counted_and_said(tmp_path: Path) -> None:
    rows = rows_to_beat(TRAIN, VAL, TEST[0], C)
    frequent, _, logistic = rows
    metrics = report(tmp_path / "a", frequent, rows)
    labels = TEST[1].numpy()
    mine, theirs = (of.test.argmax(1) == labels for of in (frequent, logistic))
    better, worse = int((mine & ~theirs).sum()), int((~mine & theirs).sum())
    paired = metrics["paired"]
    assert (paired["num_better"], paired["num_worse"]) == (better, worse)
    assert paired["p_value"] == pytest.approx(binomtest(better, better + worse).pvalue, abs=1e-6)
    difference = (better - worse) / len(labels)
    assert metrics["worth"]["test_accuracy"] == pytest.approx(difference, abs=1e-6)
    line = first_answer(metrics)[-1]
    assert f"right on {better}, only logistic regression on {worse} (p " in line
    assert line.endswith(f"from {smallest_difference(50, (better + worse) / 50):.3f}")
    same = report(tmp_path / "b", logistic, rows)
    assert first_answer(same)[-1].endswith("on 0 (p 1); so many pictures show no difference")
    assert same["paired"]["p_value"] == 1.0
    assert "paired" not in report(tmp_path / "c", logistic, [])


def test_near_duplicates_are_drawn_together_in_both(tmp_path: Path) -> None:
    rows = rows_to_beat(TRAIN, VAL, TEST[0], C)
    alone = report(tmp_path / "a", rows[1], rows)
    grouped = report(tmp_path / "b", rows[1], rows, group_size=10)
    name = "test_nll"
    for part in (lambda m: m["worth"], lambda m: m["baselines"]["logistic_regression"]):
        assert part(alone)[name] == part(grouped)[name]
        assert part(alone)[f"{name}_low"] != part(grouped)[f"{name}_low"]
    assert set(report(tmp_path / "c", rows[2], rows, group_size=10)["worth"].values()) == {0.0}


def test_what_is_written_of_them(tmp_path: Path) -> None:
    rows = rows_to_beat(TRAIN, VAL, TEST[0], C)
    metrics = report(tmp_path / "a", rows[1], rows)
    table = pd.read_csv(tmp_path / "a" / "baselines.csv")
    assert table["row"].tolist() == ["fine_tuned", *metrics["baselines"]]
    for row in rows:
        own = metrics["baselines"][row.name]
        assert own["test_nll"] == pytest.approx(loss(row.test, TEST[1]), abs=1e-5)
        assert own["val_nll"] == pytest.approx(loss(row.val, VAL[1]), abs=1e-5)
        assert own["test_macro_f1_low"] <= own["test_macro_f1"] <= own["test_macro_f1_high"]
        for name, number in own.items():
            shown = float(table.loc[table["row"] == row.name, name].iloc[0])
            assert shown == pytest.approx(number, abs=1e-9)
    assert (tmp_path / "a" / "baselines.png").read_bytes().startswith(b"\x89PNG")
    told = headline_metrics(metrics)
    assert told["test/accuracy_gain"] == pytest.approx(
        metrics["test"]["accuracy"] - metrics["baselines"]["logistic_regression"]["test_accuracy"],
        abs=2e-6,
    )
    assert told["test/accuracy"] == metrics["test"]["accuracy"]
    assert "fine_tuned" not in metrics["baselines"]
    without = report(tmp_path / "b", rows[1], [])
    assert not {"baselines", "worth"} & without.keys()
    assert not (tmp_path / "b" / "baselines.png").exists()
