"""Labels that may be wrong: how many, by confident learning; which, by the label's probability.

(Northcutt, Jiang and Chuang, 2021, Confident learning: estimating uncertainty in dataset labels,
section 3, as cleanlab has it.) A picture counts for class j where the out-of-fold probability of j
reaches the mean that pictures labelled j get themselves; that threshold makes classes of unlike
confidence comparable. The paper names the pictures that count for another class than their label.
Here their number is taken, and as many pictures of the lowest probability of their own label are
named: of planted wrong labels that finds more among as many suspects
(``python -m benchmarks.label_audit``).
"""

import numpy as np
from cleanlab.count import num_label_issues


def suspect_rows(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Rows whose label may be wrong, the least probable label first, the first of equals.

    Args:
        labels: class indices [N].
        probability: of every class by a model that has not seen the picture, [N, C].

    Returns:
        Row numbers [K]; of each the most probable class is another than the label.
    """
    order = np.argsort(self_confidence(labels, probability), kind="stable")
    named = order[: num_label_issues(labels, probability)]
    return named[probability[named].argmax(axis=1) != labels[named]]


def self_confidence(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The probability of each picture's own label, [N]."""
    return probability[np.arange(len(labels)), labels]
