"""The typed tree of params.yaml: every parameter, its type, its range.

Nothing here knows what a name does; :mod:`sftcore.recipe` turns names into objects.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

BASELINE_ROW = "none"
ALL_TOGETHER_ROW = "all_together"

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Dial = Annotated[float, Field(ge=0, le=1)]
Coefficient = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)]
_LENGTH_TEXT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})? (steps?|epochs?)")
_ANSWERS = ("skip", "clip", "rollback")


def _is_length(value: float | str) -> float | str:
    if not (_LENGTH_TEXT.fullmatch(value) if isinstance(value, str) else 0 <= value <= 1):
        raise ValueError('should be a part from 0 to 1, or text such as "50 steps" or "2 epochs"')
    return value


def _is_guard(value: str) -> str:
    if value != "none" and not set(value.split("+")) <= set(_ANSWERS):
        allowed = ", ".join(_ANSWERS)
        raise ValueError(f"should be none, or answers joined by +, as skip+rollback; of {allowed}")
    return value


Length = Annotated[float | str, AfterValidator(_is_length)]
Auto = Literal["auto"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Optimizer = Literal["sgd", "nesterov", "rmsprop", "adam", "adamw", "nadam", "radam", "lamb", "lars",
                    "lion", "adabelief"]  # fmt: skip
Schedule = Literal["constant", "linear", "cosine", "polynomial", "exponential", "step",
                   "multi_step", "one_cycle", "warmup_stable_decay", "plateau"]  # fmt: skip
Scalar = bool | int | float | str | None


class Section(BaseModel):
    """A group of parameters that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataParams(Section):
    """Where the pictures come from and how they are split."""

    source: Annotated[str, Field(pattern=r"^(folder|table|torchvision:[A-Za-z0-9]+)$")]
    path: Annotated[str, Field(min_length=1)]
    table: Annotated[str, Field(min_length=1)]
    image_size: Annotated[int, Field(ge=16, le=1024)]
    background: Annotated[list[Channel], Field(min_length=3, max_length=3)]
    max_pixels: PositiveCount
    max_refused_fraction: Fraction
    min_pictures_per_class: Annotated[int, Field(ge=3)]
    near_duplicate_distance: Annotated[int, Field(ge=-1, le=256)]
    val_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    split_seed: Seed


class ModelParams(Section):
    """The pretrained network and what of it is trained."""

    backbone: Annotated[str, Field(pattern=r"^(torchvision|timm)/[A-Za-z0-9_.\-]+$")]
    weights: Annotated[str, Field(min_length=1)]
    trainable_blocks: Literal["all"] | Count
    dropout: Fraction
    stochastic_depth: Fraction


class TrainParams(Section):
    """The recipe of gradient descent."""

    epochs: Count
    head_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    micro_batch_size: Annotated[int, Field(ge=2)] | Literal[0]
    optimizer: Optimizer
    learning_rate: Rate | Auto
    head_learning_rate: Rate | Auto
    rate_scaling: Literal["none", "linear", "sqrt"]
    rate_scaling_batch_size: PositiveCount
    momentum: Fraction
    schedule: Schedule
    warmup: Length
    schedule_factor: Annotated[float, Field(gt=0, lt=1)]
    schedule_every: Length
    schedule_milestones: Annotated[list[Length], Field(min_length=1)]
    schedule_end: Dial
    schedule_power: Rate
    schedule_cycles: Annotated[int, Field(ge=1, le=1000)]
    schedule_rise: Length
    schedule_decay: Length
    schedule_patience: Count
    range_test: bool
    range_test_steps: Annotated[int, Field(ge=10, le=10_000)]
    range_test_least: Rate
    range_test_most: Rate
    range_test_suggestion: Literal["steepest", "valley"]
    clip_norm: Coefficient
    clip_value: Coefficient
    clip_agc: Coefficient
    batch_norm: Literal["train", "freeze_statistics", "freeze_all", "recalibrate"]
    guard: Annotated[str, AfterValidator(_is_guard)]
    guard_loss_z: Coefficient
    guard_norm_z: Coefficient
    guard_window: Annotated[int, Field(ge=3, le=10_000)]
    guard_snapshot_updates: PositiveCount
    guard_rate_factor: Annotated[float, Field(gt=0, lt=1)]
    guard_max_incidents: Count
    layer_rate_decay: Annotated[float, Field(gt=0, le=1)]
    unfreeze_every_epochs: Count
    weight_decay: Coefficient
    l1: Coefficient
    l2: Coefficient
    l1_sp: Coefficient
    l2_sp: Coefficient
    penalty_form: Literal["loss", "proximal"]
    penalize_norm_and_bias: bool
    head_penalty_factor: Coefficient
    delta: Coefficient
    bss: Coefficient
    co_tuning: Coefficient
    label_smoothing: Fraction
    augmentation: Dial
    augmentation_policy: Literal["basic", "randaugment", "trivialaugment"]
    random_erasing: Dial
    mixup: Coefficient
    cutmix: Coefficient
    class_weighting: Dial
    balanced_sampling: Dial
    logit_adjustment: Coefficient
    sam_rho: Coefficient
    sam_every: PositiveCount
    ema_decay: Fraction
    swa_fraction: Dial
    soup_size: Annotated[int, Field(ge=0, le=100)]
    wise_ft: bool
    early_stopping_patience: Count
    early_stopping_min_change: Coefficient
    selection_metric: Literal["val_loss", "val_accuracy"]
    seed_init: Seed | None
    seed_order: Seed | None
    seed_augmentation: Seed | None

    @model_validator(mode="after")
    def _can_train(self) -> "TrainParams":
        if self.range_test_least >= self.range_test_most:
            raise ValueError("train.range_test_least must be below train.range_test_most")
        if self.optimizer == "nesterov" and self.momentum == 0:
            raise ValueError("train.optimizer nesterov needs train.momentum above 0")
        if self.schedule_every == 0:
            raise ValueError("train.schedule_every must be above 0")
        if self.epochs + self.head_epochs == 0:
            raise ValueError("train.epochs and train.head_epochs are both 0: nothing would train")
        if self.wise_ft and min(self.epochs, self.head_epochs) == 0:
            raise ValueError(
                "train.wise_ft goes from the trained head to the trained network: it needs "
                "train.head_epochs and train.epochs above 0"
            )
        return self


class EvaluateParams(Section):
    """How the finished model is measured."""

    num_bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    num_calibration_bins: Annotated[int, Field(ge=2, le=100)]
    num_most_wrong: Annotated[int, Field(ge=1, le=100)]


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


class RuntimeParams(Section):
    """Where the numbers are computed."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]
    mode: Literal["portable", "native"]
    num_threads: Annotated[int, Field(ge=1, le=1024)]
    precision: Literal["fp32", "tf32", "bf16", "fp16", "auto"]
    num_workers: Annotated[int, Field(ge=1, le=1024)]
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrackingParams(Section):
    """Where the runs are recorded; changes no output."""

    enabled: bool
    experiment: Annotated[str, Field(min_length=1, max_length=200)]


class Params(Section):
    """The whole of params.yaml."""

    seed: Seed
    data: DataParams
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams
    ablation: AblationParams
    runtime: RuntimeParams
    tracking: TrackingParams
