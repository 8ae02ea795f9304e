"""Predictions of numbers as a table."""

import numpy as np
import pandas as pd

from sftcore.tasks.regression.targets import TargetScale
from sftcore.tasks.report_contract import Finished


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
