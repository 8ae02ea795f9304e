"""Predictions of classes as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def predictions_table(
    probability: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    ids: Sequence[str],
    splits: Sequence[str],
) -> pd.DataFrame:
    """One row per picture: what it is, what the model says, and all probabilities.

    Args:
        probability: [N, C].
        labels: class indices [N].
        classes: C names.
        ids: N names of pictures.
        splits: N names of splits.
    """
    names = np.asarray(classes, dtype=object)
    predicted = probability.argmax(axis=1)
    table = pd.DataFrame(
        {
            "id": ids,
            "split": splits,
            "label": names[labels],
            "predicted": names[predicted],
            "confidence": probability.max(axis=1).astype(float),
            "probability_of_label": probability[np.arange(len(labels)), labels].astype(float),
        }
    )
    columns = {f"p_{k}": probability[:, k].astype(float) for k in range(len(classes))}
    return pd.concat([table, pd.DataFrame(columns)], axis=1)
