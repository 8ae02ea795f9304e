"""Whether a confidence of 80 % is right in 80 % of the cases."""

import numpy as np
import pandas as pd

from sftcore.metrics.classification import confidence_bins


def reliability_table(labels: np.ndarray, probability: np.ndarray, num_bins: int) -> pd.DataFrame:
    """Accuracy against confidence, one row per non-empty bin of equal width.

    Args:
        labels: class indices [N].
        probability: [N, C].
        num_bins: between 0 and 1.

    Returns:
        Columns low, high, num_pictures, confidence, accuracy.
    """
    confidence = probability.max(axis=1)
    is_right = probability.argmax(axis=1) == labels
    number = confidence_bins(confidence, num_bins)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": is_right})
    means = table.groupby("bin").mean()
    means.insert(0, "num_pictures", table.groupby("bin").size())
    means.insert(0, "high", (means.index.to_numpy() + 1) / num_bins)
    means.insert(0, "low", means.index.to_numpy() / num_bins)
    return means.reset_index(drop=True)
