"""What is told of an evaluation, in a few numbers and in words, whatever its task."""

from collections.abc import Mapping
from typing import Any

from sftcore.tasks.reports import report_of


def headline_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an evaluation that MLflow's list shows; ``metrics.json`` holds them all.

    Args:
        metrics: see :func:`sftcore.pipeline.evaluate.evaluate`.

    Returns:
        For classes by :data:`sftcore.tracking.HEADLINE`. ``_gain`` is over the head at its optimum
        on the features as they were, ``_gap`` is what the training pictures have above test.
    """
    return report_of(metrics).headline_metrics(metrics)


def answer_text(metrics: Mapping[str, Any]) -> str:
    """The headline on test and those of the rows to beat, with their intervals, as a table.

    Args:
        metrics: see :func:`sftcore.pipeline.evaluate.evaluate`.
    """
    return report_of(metrics).answer_text(metrics)


def first_answer(metrics: Mapping[str, Any]) -> list[str]:
    """The headline on test and those of the rows to beat, with their intervals, a line each.

    Args:
        metrics: see :func:`sftcore.pipeline.evaluate.evaluate`.
    """
    return report_of(metrics).first_answer(metrics)
