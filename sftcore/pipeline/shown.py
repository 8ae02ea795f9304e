"""What MLflow's lists show of a task."""

from sftcore.tasks.registry import TASKS
from sftcore.tracking import Shown


def shown_of(task: str) -> Shown:
    """The numbers of its headline, and the score whose curves are drawn.

    Args:
        task: its name.
    """
    return Shown(tuple(TASKS[task].headline), TASKS[task].scores[0])
