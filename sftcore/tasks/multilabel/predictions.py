"""Predictions of labels as a table."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.tasks.finished import Finished

_TINY = 1e-12  # see sftcore.metrics.multilabel


def predictions_table(
    finished: Finished, names: Sequence[str], thresholds: np.ndarray
) -> pd.DataFrame:
    """One row per picture: its labels, those that are predicted, and all probabilities.

    Args:
        finished: with probabilities and labels, 0 or 1, [N, K].
        names: of the labels, K.
        thresholds: a label is predicted from this probability on, [K].

    Returns:
        Columns id, split, labels and predicted (JSON lists), loss (nats per label), p_0 .. p_K-1.
    """
    present, probability = finished.targets == 1, finished.answers.astype(float)
    table = pd.DataFrame(
        {
            "id": list(finished.ids),
            "split": list(finished.splits),
            "labels": [json_list(names, row) for row in present],
            "predicted": [json_list(names, row) for row in probability >= thresholds],
            "loss": picture_losses(present, probability),
        }
    )
    columns = {f"p_{k}": probability[:, k] for k in range(len(names))}
    return pd.concat([table, pd.DataFrame(columns)], axis=1)


def picture_losses(present: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each picture [N], in nats per label, of probabilities [N, K]."""
    given = np.where(present, probability, 1 - probability)
    return -np.log(np.clip(given, _TINY, None)).mean(axis=1)


def json_list(names: Sequence[str], inside: np.ndarray) -> str:
    """Names of the labels that are inside [K], as a JSON list: a name may hold anything."""
    return json.dumps([name for name, is_in in zip(names, inside, strict=True) if is_in],
                      ensure_ascii=False)  # fmt: skip
