"""Where the runs are recorded."""

from typing import Annotated

from pydantic import Field

from sftcore.foundations.settings import Settings, setting


class TrackingSettings(Settings):
    """Where the runs are recorded; changes no output."""

    enabled: bool = setting(True, "whether MLflow hears of the runs")
    experiment: Annotated[str, Field(min_length=1, max_length=200)] = setting(
        "fine-tuning", "name of the MLflow experiment"
    )
