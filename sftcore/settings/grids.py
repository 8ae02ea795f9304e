"""The typed tree of a file in studies/, and of `ablation` in params.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from sftcore.foundations.settings import Fraction, Rate, Scalar, Settings, setting
from sftcore.optimization.schedules import ScheduleName
from sftcore.tasks.contract import Task
from sftcore.tasks.registry import TASKS

BASELINE_ROW = "none"
ALL_TOGETHER_ROW = "all_together"
PROBE_ROW = "probe"
COMPOSED_ROW = "composed"
WITHOUT = "without "  # begins the name of a row that leaves one out
Changes = dict[str, Scalar]
Replicates = Annotated[int, Field(ge=2, le=100)]


def row_words(task: type[Task]) -> dict[str, str]:
    """Names of rows as people read them."""
    simpler = {name: name.replace("_", " ") for name in task.simpler_rows}
    return {BASELINE_ROW: "your recipe", PROBE_ROW: task.probe_words, **simpler}


def _all_simpler_rows() -> set[str]:
    return {name for task in TASKS.values() for name in task.simpler_rows}


class ScreenSettings(Settings):
    """Rows that are tried: estimates that say what is worth confirming."""

    num_replicates: Replicates
    base: Changes
    rows: Annotated[dict[str, dict[str, Scalar | list[Scalar]]], Field(min_length=1)]
    all_together: list[str]
    leave_one_out: bool

    @model_validator(mode="after")
    def _rows_are_sound(self) -> "ScreenSettings":
        if self.rows.get(BASELINE_ROW) != {}:
            raise ValueError(
                f"screen.rows needs the row `{BASELINE_ROW}: {{}}`: every other row is compared "
                "with it"
            )
        if ALL_TOGETHER_ROW in self.rows:
            raise ValueError(
                f"the row {ALL_TOGETHER_ROW} is made of the rows that all_together lists: take it "
                "out of screen.rows"
            )
        taken = (PROBE_ROW, COMPOSED_ROW, *_all_simpler_rows())
        if made := [name for name in self.rows if name in taken or name.startswith(WITHOUT)]:
            raise ValueError(f"the study makes a row {made[0]!r} itself: give yours another name")
        if unknown := [name for name in self.all_together if name not in self.rows]:
            raise ValueError(f"all_together names {unknown[0]!r}; there are {', '.join(self.rows)}")
        if self.leave_one_out and len(self.all_together) < 3:
            raise ValueError("leave_one_out needs at least three rows in all_together")
        budgets = {name: _num_settings(name, row) for name, row in self.rows.items() if row}
        if len(set(budgets.values())) > 1:
            listing = ", ".join(f"{name} {count}" for name, count in budgets.items())
            raise ValueError(
                f"rows must try equally many settings, or the one with more has the better chance: "
                f"{listing}"
            )
        return self


def _num_settings(name: str, row: dict[str, Scalar | list[Scalar]]) -> int:
    """How many settings a row tries: the length of its lists, which go together."""
    lengths = {len(value) for value in row.values() if isinstance(value, list)}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(f"the lists in the row {name} must be of one length, and not empty")
    return lengths.pop() if lengths else 1


class ConfirmSettings(Settings):
    """The best rows of the screen, again: on new pictures and seeds, from the user's own recipe."""

    num_replicates: Replicates
    num_rows: Annotated[int, Field(ge=1, le=20)]


class DataSizeSettings(Settings):
    """Trainings on parts of the training pictures, with as many updates at each."""

    num_replicates: Replicates
    fractions: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3)]

    @model_validator(mode="after")
    def _rise_to_the_whole(self) -> "DataSizeSettings":
        if self.fractions != sorted(set(self.fractions)) or self.fractions[-1] != 1:
            raise ValueError("data_size.fractions must rise and end with 1.0")
        return self


class StabilitySettings(Settings):
    """The stability map: every rate with every schedule and every answer."""

    num_replicates: Replicates
    base: Changes
    learning_rates: Annotated[list[Rate], Field(min_length=1)]
    schedules: Annotated[list[ScheduleName], Field(min_length=1)]
    answers: Annotated[dict[str, Changes], Field(min_length=1)]

    @model_validator(mode="after")
    def _begins_without(self) -> "StabilitySettings":
        if self.answers.get(BASELINE_ROW) != {}:
            raise ValueError(f"stability.answers needs `{BASELINE_ROW}: {{}}` to compare with")
        for name, changes in self.answers.items():
            if taken := {"train.learning_rate", "train.schedule.name"} & changes.keys():
                raise ValueError(f"stability.answers.{name} sets {taken.pop()}, which the map does")
        return self


class GridSettings(Settings):
    """A grid of trainings; what is null is left out.

    ``stand_in`` are settings of model and train in which the study's recipe differs from that of
    params.yaml: a smaller network that stands in for one that is too slow to be trained so often.
    """

    stand_in: Changes = Field(default_factory=dict)
    screen: ScreenSettings
    confirm: ConfirmSettings
    data_size: DataSizeSettings | None
    stability: StabilitySettings | None


class AblationSettings(Settings):
    """The trainings that measure what helps.

    A replicate draws new parts of the train and validation examples, and a seed; test stays shut.
    """

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] = setting(
        "quick", "a file of studies/: quick (minutes) | full (a night) | none | your own"
    )
    metric: Annotated[str, Field(pattern="^[a-z0-9_]+$")] = setting(
        "loss", "loss, or a score of the task: decides verdicts"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = setting(
        0.95, "of every interval and verdict"
    )
    judge_fraction: Annotated[Fraction, Field(gt=0)] = setting(
        0.2, "of the train and validation examples: judge, with no say in anything before"
    )
    choose_fraction: Annotated[Fraction, Field(gt=0)] = setting(
        0.2, "of them: choose epochs, averages and the head's strength"
    )
    # Of the file that `study` names, where it is wanted.
    grid: GridSettings | None = None

    @model_validator(mode="after")
    def _leaves_pictures(self) -> "AblationSettings":
        if self.judge_fraction + self.choose_fraction > 0.6:
            raise ValueError(
                "ablation.judge_fraction and choose_fraction leave less than 0.4 of the pictures "
                "to train on: lower them"
            )
        return self

    @property
    def chosen(self) -> GridSettings:
        """The grid of the study.

        Raises:
            ValueError: there is none, or it was not read.
        """
        if self.grid is None:
            raise ValueError(f"the study {self.study} has no grid")
        return self.grid

    @property
    def origin(self) -> str:
        """What messages call the place of the grid's faults."""
        return f"studies/{self.study}.yaml"
