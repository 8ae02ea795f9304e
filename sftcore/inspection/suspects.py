"""Labels that may be wrong: confident learning on out-of-fold probabilities.

(Northcutt, Jiang and Chuang, 2021, Confident learning: estimating uncertainty in dataset labels,
sections 3 and 4, as cleanlab has it.) A picture counts for class j where the probability of j
reaches the mean that pictures labelled j get themselves; that threshold makes classes of unlike
confidence comparable. The counts of "labelled i, confidently j" say how many labels of each class
to suspect; which ones, the probability of their own label says (the paper's "prune by class").
Planted wrong labels are found more often by this rule than by the paper's others, among about as
many suspects: ``python -m benchmarks.label_audit``.
"""

import warnings

import numpy as np
from cleanlab.filter import find_label_issues

DEFAULT_METHOD = "prune_by_class"


def suspect_rows(
    labels: np.ndarray, probability: np.ndarray, method: str = DEFAULT_METHOD
) -> np.ndarray:
    """Rows whose label may be wrong, the least probable label first.

    Args:
        labels: class indices [N].
        probability: of every class by a model that has not seen the picture, [N, C].
        method: rule of ``cleanlab.filter.find_label_issues``.

    Returns:
        Row numbers [K]; of each the most probable class is another than the label.
    """
    with warnings.catch_warnings():
        # A class of which no picture was judged is expected.
        warnings.filterwarnings("ignore", message="May not flag all label issues")
        # One job: a pool of processes costs more than it saves and the result is the same. Nothing
        # is removed, so no class has to keep a picture.
        is_suspect = find_label_issues(
            labels, probability, filter_by=method, min_examples_per_class=0, n_jobs=1
        )
    rows = np.flatnonzero(is_suspect & (probability.argmax(axis=1) != labels))
    confidence = self_confidence(labels, probability)[rows]
    return rows[np.argsort(confidence, kind="stable")]


def self_confidence(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The probability of each picture's own label, [N]."""
    return probability[np.arange(len(labels)), labels]
