"""TF-IDF and logistic regression on raw texts, against a computation from the definition."""

import math
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.text_classification import baselines
from sftcore.tasks.text_classification.baselines import (
    STRENGTHS,
    TFIDF,
    terms_of,
    tfidf_logistic_regression,
)
from tests.texts import compose

TOPICS = ("harbour", "kitchen", "orchard")


def split(count: int, seed: int, noise: float = 0.2) -> tuple[list[str], np.ndarray]:
    """Short texts of three topics, some under a wrong one."""
    stream = np.random.default_rng(seed)
    labels = stream.integers(0, 3, count)
    shown = np.where(stream.random(count) < noise, stream.integers(0, 3, count), labels)
    return [compose(TOPICS[k], seed + row, num_words=8) for row, k in enumerate(shown)], labels


TRAIN, VAL = split(60, 0), split(40, 1000)
TEST = split(20, 2000)[0]


def fitted(test: list[str] = TEST) -> Baseline:
    return tfidf_logistic_regression(TRAIN, VAL, test, 3)


def by_definition(texts: list[str], train: list[str]) -> np.ndarray:
    """TF-IDF of words and pairs of words, term by term."""

    def terms(text: str) -> list[str]:
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        return words + [f"{a} {b}" for a, b in pairwise(words)]

    occurs = Counter(term for text in train for term in set(terms(text)))
    columns = {term: place for place, term in enumerate(sorted(occurs))}
    found = np.zeros((len(texts), len(columns)))
    for row, text in enumerate(texts):
        for term, count in Counter(terms(text)).items():
            if term in columns:
                rarity = 1 + math.log((1 + len(train)) / (1 + occurs[term]))
                found[row, columns[term]] = (1 + math.log(count)) * rarity
    return found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-300)


def optimum(features: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    """Weights and bias [D + 1, 3] of multinomial regression, by a search of another kind."""
    with_one = np.hstack([features, np.ones((len(features), 1))])
    target = np.eye(3)[labels]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(-1, 3)
        logits = with_one @ weight
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        inner = np.vstack([weight[:-1], np.zeros((1, 3))])
        loss = -strength * (target * log_p).sum() + (inner**2).sum() / 2
        return loss, (strength * with_one.T @ (np.exp(log_p) - target) + inner).ravel()

    found = minimize(
        objective, np.zeros(with_one.shape[1] * 3), jac=True, method="L-BFGS-B",
        options={"gtol": 1e-7, "ftol": 0.0, "maxiter": 20_000, "maxfun": 50_000},
    )  # fmt: skip
    return found.x.reshape(-1, 3)


def test_it_is_regression_on_tf_idf_at_the_chosen_strength() -> None:
    row = fitted()
    assert row.name == TFIDF
    assert row.settings["strength"] in STRENGTHS
    features = {name: by_definition(texts, TRAIN[0]) for name, texts in
                (("train", TRAIN[0]), ("val", VAL[0]), ("test", TEST))}  # fmt: skip
    losses = {}
    for strength in STRENGTHS[:3]:
        weight = optimum(features["train"], TRAIN[1], strength)
        said = {}
        for name in ("val", "test"):
            logits = np.hstack([features[name], np.ones((len(features[name]), 1))]) @ weight
            said[name] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses[strength] = -np.log(said["val"][np.arange(40), VAL[1]]).mean()
        if strength == row.settings["strength"]:
            np.testing.assert_allclose(row.val, said["val"], atol=2e-3)
            np.testing.assert_allclose(row.test, said["test"], atol=2e-3)
    assert min(losses, key=losses.__getitem__) == row.settings["strength"]


def test_it_is_the_same_twice_and_for_each_text_whatever_stands_beside_it() -> None:
    first, again, alone = fitted(), fitted(), fitted(TEST[3:4])
    assert first.test.tobytes() == again.test.tobytes()
    assert first.val.tobytes() == again.val.tobytes()
    np.testing.assert_array_equal(alone.test[0], first.test[3])


def test_it_knows_topics_and_no_more_than_there_is() -> None:
    texts, labels = split(200, 5000)
    right = (fitted(texts).test.argmax(axis=1) == labels).mean()
    assert 0.7 < right < 0.97  # a fifth of the texts lie under a topic drawn at random
    by_chance = np.random.default_rng(3).permutation(TRAIN[1])
    row = tfidf_logistic_regression((TRAIN[0], by_chance), VAL, texts, 3)
    assert (row.test.argmax(axis=1) == labels).mean() < 0.6
    assert row.settings["strength"] == STRENGTHS[0]


def test_words_of_validation_and_test_are_not_terms() -> None:
    terms = terms_of(["One two, two", "one"])
    assert terms == ["one", ",", ", two", "one two", "two", "two ,"]
    known = fitted()
    strange = tfidf_logistic_regression(TRAIN, VAL, [*TEST, "zebra zebra"], 3)
    np.testing.assert_array_equal(strange.test[:-1], known.test)


@pytest.mark.parametrize(
    "texts",
    [
        ["the of and", "is the", "the the", "of it"],
        ["a", "b", "a", "I"],
        ["!!!", "?", "…", "!"],
        ["日本語の文", "東京", "日本", "京都の寺"],
        ["ночь", "день", "ночь ночь", "утро"],
        ["ภาษาไทย", "हिन्दी", "العربية", "עברית"],
        ["🙂", "🙁 🙁", "🙂🙂", "👍"],
    ],
)
def test_every_script_has_terms(texts: list[str]) -> None:
    labels = np.array([0, 1, 0, 1])
    row = tfidf_logistic_regression((texts, labels), (texts, labels), texts, 2)
    np.testing.assert_allclose(row.test.sum(axis=1), 1)
    assert (row.test.argmax(axis=1) == labels).all()


def test_words_without_spaces_between_them_are_told_apart_by_character() -> None:
    assert {"日", "本", "日 本"} <= set(terms_of(["日本の水"]))


def test_a_class_without_a_training_text_gets_nothing() -> None:
    row = tfidf_logistic_regression(TRAIN, VAL, TEST, 5)
    np.testing.assert_array_equal(row.test[:, 3:], 0)
    np.testing.assert_array_equal(row.test[:, :3], fitted().test)


def test_a_large_vocabulary_keeps_the_terms_of_most_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["b a", "b c", "b a d"]
    everything = terms_of(texts)
    assert everything[:3] == ["b", "a", "b a"]
    monkeypatch.setattr(baselines, "MAX_TERMS", 2)
    assert terms_of(texts) == ["b", "a"]
