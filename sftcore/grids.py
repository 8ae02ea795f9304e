"""The typed tree of `ablation` in params.yaml: which trainings a study has."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sftcore.parameter_types import Rate, Scalar, Schedule, Section

BASELINE_ROW = "none"
ALL_TOGETHER_ROW = "all_together"


class DataSizeParams(Section):
    """Trainings on parts of the training pictures."""

    fractions: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2)]
    num_seeds: Annotated[int, Field(ge=2, le=100)]
    rows: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _rise_to_the_whole(self) -> "DataSizeParams":
        if self.fractions != sorted(set(self.fractions)) or self.fractions[-1] != 1:
            raise ValueError("data_size.fractions must rise and end with 1.0")
        return self


class CrossValidationParams(Section):
    """Trainings on all but one of several parts of the train and validation pictures."""

    num_folds: Annotated[int, Field(ge=2, le=100)]
    rows: Annotated[list[str], Field(min_length=1)]


class StabilityParams(Section):
    """The stability map: every rate with every schedule and every answer."""

    num_seeds: Annotated[int, Field(ge=1, le=100)]
    base: dict[str, Scalar]
    learning_rates: Annotated[list[Rate], Field(min_length=1)]
    schedules: Annotated[list[Schedule], Field(min_length=1)]
    answers: Annotated[dict[str, dict[str, Scalar]], Field(min_length=1)]

    @model_validator(mode="after")
    def _begins_without(self) -> "StabilityParams":
        if self.answers.get(BASELINE_ROW) != {}:
            raise ValueError(f"stability.answers needs `{BASELINE_ROW}: {{}}` to compare with")
        for name, changes in self.answers.items():
            if taken := {"train.learning_rate", "train.schedule"} & changes.keys():
                raise ValueError(f"stability.answers.{name} sets {taken.pop()}, which the map does")
        return self


class SpreadParams(Section):
    """How much runs differ by their seeds alone, all of them and each by itself."""

    num_seeds: Annotated[int, Field(ge=2, le=100)]
    base: dict[str, Scalar]


class GridParams(Section):
    """A grid of trainings; what is null is left out."""

    num_seeds: Annotated[int, Field(ge=2, le=100)]
    num_search_seeds: Annotated[int, Field(ge=1, le=100)]
    regularization: Annotated[dict[str, dict[str, Scalar | list[Scalar]]], Field(min_length=1)]
    all_together: list[str]
    leave_one_out: bool
    data_size: DataSizeParams | None
    cross_validation: CrossValidationParams | None
    stability: StabilityParams
    spread: SpreadParams | None

    @model_validator(mode="after")
    def _rows_are_sound(self) -> "GridParams":
        rows = self.regularization
        if rows.get(BASELINE_ROW) != {}:
            raise ValueError(
                f"regularization needs the row `{BASELINE_ROW}: {{}}`: every other row is compared "
                "with it"
            )
        if ALL_TOGETHER_ROW in rows:
            raise ValueError(
                f"the row {ALL_TOGETHER_ROW} is made of the rows that all_together lists: take it "
                "out of regularization"
            )
        named = {
            "all_together": self.all_together,
            "data_size.rows": self.data_size.rows if self.data_size else [],
            "cross_validation.rows": self.cross_validation.rows if self.cross_validation else [],
        }
        for place, names in named.items():
            known = [*rows, *([ALL_TOGETHER_ROW] if self.all_together else [])]
            known = list(rows) if place == "all_together" else known
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{place} names {unknown[0]!r}; there are {', '.join(known)}")
        if self.leave_one_out and len(self.all_together) < 3:
            raise ValueError("leave_one_out needs at least three rows in all_together")
        budgets = {name: _num_settings(name, row) for name, row in rows.items() if row}
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


class AblationParams(Section):
    """The trainings that measure what helps."""

    grid: Literal["quick", "full"]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    base: dict[str, Scalar]
    quick: GridParams
    full: GridParams

    @property
    def chosen(self) -> GridParams:
        """The grid that ``grid`` names."""
        return self.quick if self.grid == "quick" else self.full
