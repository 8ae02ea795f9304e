"""The recipe of gradient descent, and the plain plans that are made of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.foundations.settings import (
    Auto,
    Coefficient,
    Count,
    Dial,
    Fraction,
    Rate,
    Seed,
    Settings,
    setting,
)
from sftcore.models.dense.settings import BoxLossSettings, PixelLossSettings
from sftcore.optimization.clipping import ClippingSettings
from sftcore.optimization.optimizers import OptimizerName, RateScalingSettings
from sftcore.optimization.range_test import RangeTestSettings
from sftcore.optimization.schedules import ScheduleSettings
from sftcore.regularization.averaging import AveragingSettings
from sftcore.regularization.embedding_noise import EmbeddingSettings
from sftcore.regularization.error_loss import ABSOLUTE, ErrorSettings
from sftcore.regularization.features import FeatureSettings
from sftcore.regularization.imbalance import ImbalanceSettings
from sftcore.regularization.penalties import PenaltySettings
from sftcore.regularization.sharpness import SharpnessSettings
from sftcore.stability.batch_norm import BatchNormPolicy
from sftcore.stability.guard import GuardSettings


class HeadSettings(Settings):
    """The head alone, before the trained blocks."""

    method: Literal["solve", "descend"] = setting("solve", "its optimum, or gradient descent")
    strength: Annotated[float, Field(gt=0, le=1)] | Auto = setting(
        "auto", "of solve: L2 as part of the features' variance; auto: by validation"
    )
    epochs: Count = setting(5, "of descend: passes for the head alone; 0 is plain fine-tuning")
    learning_rate: Rate | Auto = setting(0.003, "of descend: peak; auto takes the range test's")

    @property
    def num_epochs(self) -> int:
        """Epochs of the head phase in the history; a solved head is one."""
        return 1 if self.method == "solve" else self.epochs


class StoppingSettings(Settings):
    """When to stop early."""

    patience: Count = setting(0, "epochs without improvement that end a phase; 0 is off")
    min_change: Coefficient = setting(0.0, "improvement that counts, in units of the metric")


class SelectionSettings(Settings):
    """Which epoch a training ends with.

    On few validation examples the least of many losses is mostly luck, and a schedule is made for
    its end; so an earlier epoch has to be better beyond noise (in the spirit of the rule of one
    standard error; Breiman et al., 1984, Classification and regression trees, section 3.4.3).
    """

    metric: Annotated[str, Field(pattern="^val_[a-z0-9_]+$")] = setting(
        "val_loss", "val_loss, or val_ and a score of the task: decides the best epoch"
    )
    margin: Coefficient = setting(
        1.0, "standard errors by which an earlier epoch must beat the last; 0 is off"
    )


@dataclass(frozen=True)
class Seeds:
    """Seeds of the streams that a training draws from; each is a function of its own alone.

    Attributes:
        init: the head, and the backbone where it has no pretrained parameters.
        order: which examples are in which batch.
        augmentation: how examples are changed and mixed, and which features are dropped.
    """

    init: int
    order: int
    augmentation: int


class SeedSettings(Settings):
    """Seeds of single streams, to tell them apart; null takes `seed`."""

    init: Seed | None = setting(None, "of the head, and of a backbone without weights")
    order: Seed | None = setting(None, "of the order of the examples")
    augmentation: Seed | None = setting(None, "of augmentation, mixing and dropout")

    def resolved(self, seed: int) -> Seeds:
        """Each stream's own seed, or else that of the training."""

        def own(value: int | None) -> int:
            return seed if value is None else value

        return Seeds(own(self.init), own(self.order), own(self.augmentation))


class UpdateSettings(Settings):
    """What one update does."""

    batch_size: Annotated[int, Field(ge=2)] = setting(32, "examples per update")
    micro_batch_size: Annotated[int, Field(ge=2)] | Literal[0] = setting(
        0, "examples per pass where a batch does not fit; 0 is all of them"
    )
    recompute_activations: bool = setting(
        False, "compute activations anew on the way back: less memory, more time"
    )
    optimizer: OptimizerName = setting("sgd", "what follows the gradient")
    momentum: Fraction = setting(0.9, "of sgd, nesterov, rmsprop, lars; first beta of the others")
    weight_decay: Coefficient = setting(0.0001, "decay per update, times the learning rate")
    layer_rate_decay: Annotated[float, Field(gt=0, le=1)] = setting(
        1.0, "factor on the learning rate from each block to the one before"
    )
    batch_norm: BatchNormPolicy = setting("train", "what batch norm normalises by, and learns")
    label_smoothing: Fraction = setting(0.0, "part of the target spread over all classes")
    prompt_weight: Dial = setting(
        0.0, "of a prompt's token in the loss of answers, whose tokens weigh 1"
    )
    mixout: Fraction = setting(0.0, "probability that a weight is the pretrained one in an update")
    penalties: PenaltySettings = PenaltySettings()
    features: FeatureSettings = FeatureSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    imbalance: ImbalanceSettings = ImbalanceSettings()
    error: ErrorSettings = ErrorSettings()
    pixel_loss: PixelLossSettings = PixelLossSettings()
    box_loss: BoxLossSettings = BoxLossSettings()
    sharpness: SharpnessSettings = SharpnessSettings()
    clipping: ClippingSettings = ClippingSettings()
    guard: GuardSettings = GuardSettings()


class TrainSettings(UpdateSettings):
    """The recipe of gradient descent."""

    epochs: Count = setting(16, "passes over the training examples for the trained blocks")
    learning_rate: Rate | Auto = setting(
        0.01, "peak, for the trained blocks; auto takes the range test's"
    )
    unfreeze_every_epochs: Count = setting(
        0, "epochs until one block more is trained, from the last; 0 is all"
    )
    head: HeadSettings = HeadSettings()
    rate_scaling: RateScalingSettings = RateScalingSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    range_test: RangeTestSettings = RangeTestSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    averaging: AveragingSettings = AveragingSettings()
    stopping: StoppingSettings = StoppingSettings()
    selection: SelectionSettings = SelectionSettings()
    canaries: Count = setting(
        0, "dialogues with random codes that are planted, to see what is learnt by heart"
    )
    seeds: SeedSettings = SeedSettings()

    @model_validator(mode="after")
    def _can_train(self) -> "TrainSettings":
        if self.optimizer == "nesterov" and self.momentum == 0:
            raise ValueError("train.optimizer nesterov needs train.momentum above 0")
        if self.epochs == 0 and self.head.num_epochs == 0:
            raise ValueError("train.epochs and train.head.epochs are both 0: nothing would train")
        if self.error.kind == ABSOLUTE and self.head.method == "solve":
            raise ValueError(
                "train.error.kind absolute has no smooth optimum to solve for: set "
                "train.head.method descend, or train.error.kind huber"
            )
        if self.averaging.wise_ft and not (self.head.num_epochs and self.epochs):
            raise ValueError(
                "train.averaging.wise_ft goes from the trained head to the trained network: it "
                "needs train.head.method solve, or train.head.epochs above 0, and train.epochs "
                "above 0"
            )
        return self


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trained blocks.

    Attributes:
        name: ``head`` or ``full``.
        num_epochs: passes over the training rows; 1 where the head is solved.
        first_block: position of the first trained block; ``len(blocks)`` trains the head alone.
        unfreeze_every_epochs: epochs after which one block more is trained, from the last one
            back to ``first_block`` (Howard and Ruder, 2018, ULMFiT, section 3.3); 0 trains them
            all at once.
        learning_rate: peak; None takes the suggestion of the range test.
        schedule: how the rate goes on from there.
        sweep: the range test before the phase; None is no test.
        augmentation: how its training examples are changed.
        stopping: when it ends early.
        strengths: at which the head's convex problem is solved instead of descended; see
            :mod:`sftcore.optimization.linear_head`. Empty is gradient descent.
        is_measured_only: whether nothing is trained: the network as it came is the one epoch.
    """

    name: str
    num_epochs: int
    first_block: int
    unfreeze_every_epochs: int
    learning_rate: float | None
    schedule: ScheduleSettings
    sweep: RangeTestSettings | None
    augmentation: AugmentationSettings
    stopping: StoppingSettings
    strengths: tuple[float, ...] = ()
    is_measured_only: bool = False

    def first_block_at(self, epoch: int, num_blocks: int) -> int:
        """Position of the first block that is trained in an epoch of the phase, from 0."""
        if self.unfreeze_every_epochs == 0:
            return self.first_block
        return max(self.first_block, num_blocks - 1 - epoch // self.unfreeze_every_epochs)
