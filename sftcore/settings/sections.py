"""The typed tree of params.yaml: every parameter, its type, its range.

Nothing here knows what a name does; :mod:`sftcore.planning` and :mod:`sftcore.recipe` turn names
into objects.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sftcore.settings.grids import AblationParams
from sftcore.settings.parameter_types import (
    Auto,
    Channel,
    Coefficient,
    Count,
    Dial,
    Fraction,
    Guard,
    Length,
    Optimizer,
    PositiveCount,
    Rate,
    Schedule,
    Section,
    Seed,
)


class DataParams(Section):
    """Where the pictures come from and how they are split."""

    source: Annotated[
        str,
        Field(
            pattern=r"^(auto|folder|splits|table|imagefolder|saved|parquet|webdataset"
            r"|torchvision:[A-Za-z0-9]+)$"
        ),
    ]
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
    head: Literal["solve", "descend"]
    head_strength: Annotated[float, Field(gt=0, le=1)] | Auto
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
    guard: Guard
    guard_loss_z: Coefficient
    guard_loss_run: PositiveCount
    guard_norm_factor: Coefficient
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
    selection_margin: Coefficient
    selection_metric: Literal["val_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_f1"]
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
        has_head = self.head == "solve" or self.head_epochs > 0
        if self.epochs == 0 and not has_head:
            raise ValueError("train.epochs and train.head_epochs are both 0: nothing would train")
        if self.wise_ft and not (has_head and self.epochs):
            raise ValueError(
                "train.wise_ft goes from the trained head to the trained network: it needs "
                "train.head solve, or train.head_epochs above 0, and train.epochs above 0"
            )
        return self


class EvaluateParams(Section):
    """How the finished model is measured."""

    num_bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    num_calibration_bins: Annotated[int, Field(ge=2, le=100)]
    num_most_wrong: Annotated[int, Field(ge=1, le=100)]
    coverage: Annotated[float, Field(ge=0.5, lt=1)]
    answer_accuracy: Annotated[float, Field(gt=0, le=1)]
    known_fraction: Annotated[float, Field(gt=0.5, lt=1)]


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
