"""Predictions of numbers as a table, and the worst of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.tasks.finished import Finished
from sftcore.tasks.regression.targets import TargetScale


def predictions_table(finished: Finished, scale: TargetScale) -> pd.DataFrame:
    """One row per picture: its numbers and the predicted ones, in their units.

    Args:
        finished: with predicted and actual numbers [N, K].
        scale: of the training targets.

    Returns:
        Columns id, split, error (mean absolute one over the numbers, in standard deviations of the
        training targets), and actual_k and predicted_k for each number k from 0 on.
    """
    error = np.abs(finished.answers - finished.targets) / np.array(scale.std)
    table = pd.DataFrame(
        {"id": list(finished.ids), "split": list(finished.splits), "error": error.mean(axis=1)}
    )
    columns = {}
    for k in range(error.shape[1]):
        columns[f"actual_{k}"] = finished.targets[:, k].astype(float)
        columns[f"predicted_{k}"] = finished.answers[:, k].astype(float)
    return pd.concat([table, pd.DataFrame(columns)], axis=1)


def most_wrong_table(
    finished: Finished, scale: TargetScale, names: Sequence[str], count: int
) -> pd.DataFrame:
    """The test pictures with the greatest mean error, by their rows in the data set.

    Args:
        finished: with predicted and actual numbers [N, K].
        scale: of the training targets.
        names: of the numbers, K.
        count: pictures that are shown.

    Returns:
        Columns id, error (as in :func:`predictions_table`), and the number that is farthest off in
        standard deviations: number, actual, predicted.
    """
    error = np.abs(finished.answers - finished.targets) / np.array(scale.std)
    rows = finished.rows("test")
    ids = np.asarray(finished.ids, dtype=object)[rows]
    worst = np.lexsort((ids, -error[rows].mean(axis=1)))[:count]
    rows = rows[worst]
    farthest = error[rows].argmax(axis=1)
    return pd.DataFrame(
        {
            "id": ids[worst],
            "error": error[rows].mean(axis=1),
            "number": np.asarray(names, dtype=object)[farthest],
            "actual": finished.targets[rows, farthest].astype(float),
            "predicted": finished.answers[rows, farthest].astype(float),
        },
        index=rows,
    )
