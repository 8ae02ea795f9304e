"""What the words alone say: TF-IDF and logistic regression, without any network.

The row to beat that costs seconds. On topics it is hard to beat (Wang and Manning, 2012, Baselines
and bigrams: simple, good sentiment and topic classification), and where it is not beaten, nobody
needs an encoder.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from sftcore.metrics.classification import scores
from sftcore.metrics.rows_to_beat import Baseline

TFIDF = "tfidf_logistic_regression"
# Weight of the sum of losses beside ½‖W‖² (scikit-learn's C), from strong to weak regularisation.
STRENGTHS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
MAX_TERMS = 20_000  # memory and time are proportional to terms times classes
# A word; a character by itself in scripts that put no spaces between words (kana, Han); or a mark.
# So every text with a visible character has terms, whatever it is written in.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
TERM = rf"(?u)[{_ALONE}]|[^\W{_ALONE}]+|[^\w\s]"
_TOLERANCE = 1e-5  # of the largest entry of the mean loss's gradient
_MAX_ITERATIONS = 1000
_TINY = 1e-12  # a class without a training text has the probability 0


def tfidf_logistic_regression(
    train: tuple[Sequence[str], np.ndarray],
    val: tuple[Sequence[str], np.ndarray],
    test: Sequence[str],
    num_classes: int,
) -> Baseline:
    """Logistic regression on TF-IDF; validation loss chooses its strength, the strongest of equals.

    Terms are words and pairs of neighbouring words of the training texts, in lower case, at most
    :data:`MAX_TERMS` of them. A term that occurs f times in a text and in n of the N training texts
    counts ``(1 + ln f) · (1 + ln((1 + N)/(1 + n)))``, and every text has length one (scikit-learn's
    sublinear, smoothed form; Salton and Buckley, 1988, Term-weighting approaches in automatic text
    retrieval).

    Args:
        train: texts and class indices [N], of at least two classes.
        val: likewise [V].
        test: texts.
        num_classes: C.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    # One thread: two are slower on problems of this size, and add in another order.
    with threadpool_limits(1):
        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), token_pattern=TERM, sublinear_tf=True, vocabulary=terms_of(train[0])
        )
        known = vectorizer.fit_transform(train[0])
        asked = [vectorizer.transform(texts) for texts in (val[0], test)]
        path = list(_along_strengths(known, train[1], asked, num_classes))
    losses = [scores(np.log(of_val.clip(_TINY)), val[1])["loss"] for of_val, _ in path]
    best = min(range(len(path)), key=lambda place: losses[place])
    return Baseline(TFIDF, {"strength": STRENGTHS[best]}, *path[best])


def terms_of(texts: Sequence[str]) -> list[str]:
    """Words and pairs of words, those of most texts first; of equals the first by code point.

    Args:
        texts: of which at least one has a visible character.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(ngram_range=(1, 2), token_pattern=TERM, binary=True)
    num_texts = np.asarray(counter.fit_transform(texts).sum(axis=0)).ravel()
    order = np.argsort(-num_texts, kind="stable")[:MAX_TERMS]
    return list(counter.get_feature_names_out()[order])


def _along_strengths(
    known: csr_matrix,
    labels: np.ndarray,
    asked: Sequence[csr_matrix],
    num_classes: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probabilities [V, C] and [T, C] at each strength, each search begun at the optimum before."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MAX_ITERATIONS, warm_start=True)
    for strength in STRENGTHS:
        model.set_params(C=strength).fit(known, labels)
        of_val, of_test = (np.zeros((matrix.shape[0], num_classes)) for matrix in asked)
        for matrix, probability in zip(asked, (of_val, of_test), strict=True):
            probability[:, model.classes_] = model.predict_proba(matrix)
        yield of_val, of_test
