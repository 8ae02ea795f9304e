"""MLflow: hears of everything, is never asked to decide anything, and never stops training.

Only this package and :mod:`sftcore.pyfunc_model` import mlflow, and only when tracking is on.
"""

from sftcore.tracking.delivery import EXPERIMENT_TAG, RUN_KEY_TAG
from sftcore.tracking.entries import History
from sftcore.tracking.run import (
    ABLATION_TAG,
    MODEL_TAG,
    Run,
    contents_of,
    open_run,
    replay_pending,
)
from sftcore.tracking.store import check_store, tracking_uri

__all__ = [
    "ABLATION_TAG",
    "EXPERIMENT_TAG",
    "MODEL_TAG",
    "RUN_KEY_TAG",
    "History",
    "Run",
    "check_store",
    "contents_of",
    "open_run",
    "replay_pending",
    "tracking_uri",
]
