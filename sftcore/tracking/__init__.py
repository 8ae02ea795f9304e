"""MLflow: hears of everything, is never asked to decide anything, and never stops training.

Only this package and :mod:`sftcore.pyfunc_model` import mlflow, and only when tracking is on.
"""

from sftcore.tracking.address import EXPERIMENT_TAG
from sftcore.tracking.cells import LINE_LENGTH, RUN_KEY_TAG
from sftcore.tracking.context import changed_files, commit_of_run, experiment_name
from sftcore.tracking.entries import History
from sftcore.tracking.layout import STUDIES, TRAININGS, Shown
from sftcore.tracking.linking import RECIPE_TAG
from sftcore.tracking.naming import changes_since, training_name
from sftcore.tracking.notes import FILES, STUDY, TEST, TRAINING, plain
from sftcore.tracking.pages import worthwhile_pages
from sftcore.tracking.run import (
    ABLATION_TAG,
    MODEL_TAG,
    Run,
    contents_of,
    open_run,
    replay_pending,
)
from sftcore.tracking.store import check_store, tracking_uri, without_login

__all__ = [
    "ABLATION_TAG",
    "EXPERIMENT_TAG",
    "FILES",
    "LINE_LENGTH",
    "MODEL_TAG",
    "RECIPE_TAG",
    "RUN_KEY_TAG",
    "STUDIES",
    "STUDY",
    "TEST",
    "TRAINING",
    "TRAININGS",
    "History",
    "Run",
    "Shown",
    "changed_files",
    "changes_since",
    "check_store",
    "commit_of_run",
    "contents_of",
    "experiment_name",
    "open_run",
    "plain",
    "replay_pending",
    "tracking_uri",
    "training_name",
    "without_login",
    "worthwhile_pages",
]
