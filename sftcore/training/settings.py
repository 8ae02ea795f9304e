"""Plain settings of one training, grouped by what they decide."""

from dataclasses import dataclass

from sftcore.data.pictures.augment import Augmentation
from sftcore.optimization.clipping import Clipping
from sftcore.optimization.schedules import Schedule
from sftcore.regularization.penalties import Coefficients
from sftcore.stability.guard import GuardSettings


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
        sweep: of the range test before the phase; None is no test.
        augmentation: how its training pictures are changed.
        early_stopping_patience: epochs without a better one before the phase ends; 0 never ends it.
        early_stopping_min_change: by how much the metric must improve to count as better.
        strengths: at which the head's convex problem is solved instead of descended; see
            :mod:`sftcore.optimization.linear_head`. Empty is gradient descent.
    """

    name: str
    num_epochs: int
    first_block: int
    unfreeze_every_epochs: int
    learning_rate: float | None
    schedule: Schedule
    sweep: "Sweep | None"
    augmentation: Augmentation
    early_stopping_patience: int
    early_stopping_min_change: float
    strengths: tuple[float, ...] = ()

    def first_block_at(self, epoch: int, num_blocks: int) -> int:
        """Position of the first block that is trained in an epoch of the phase, from 0."""
        if self.unfreeze_every_epochs == 0:
            return self.first_block
        return max(self.first_block, num_blocks - 1 - epoch // self.unfreeze_every_epochs)


@dataclass(frozen=True)
class Sweep:
    """A learning-rate range test.

    Attributes:
        least: first rate.
        most: last rate.
        num_steps: updates from one to the other.
        suggestion: ``steepest`` or ``valley``, which a phase without a rate takes.
    """

    least: float
    most: float
    num_steps: int
    suggestion: str


@dataclass(frozen=True)
class Seeds:
    """Seeds of the streams that a training draws from; each is a function of its own alone.

    Attributes:
        init: the head, and the backbone where it has no pretrained parameters.
        order: which pictures are in which batch.
        augmentation: how pictures are changed and mixed, and which features are dropped.
    """

    init: int
    order: int
    augmentation: int


@dataclass(frozen=True)
class Update:
    """What one update does besides following the gradient of the cross-entropy.

    Attributes:
        optimizer: a name known to :func:`sftcore.optimization.optimizers.build_optimizer`.
        momentum: in [0, 1).
        weight_decay: λ of the optimizer's decay.
        penalties: λ of each penalty on the parameters.
        penalty_form: ``loss`` adds them to the loss, ``proximal`` applies them after the update.
        head_penalty_factor: on the penalties of the head.
        penalize_norm_and_bias: whether all these also apply to norms, biases, tokens and tables.
        layer_rate_decay: see :func:`sftcore.models.parameter_groups.claim_parameters`.
        delta: λ of :func:`sftcore.regularization.features.delta_penalty`.
        bss: λ of :func:`sftcore.regularization.features.bss_penalty`.
        co_tuning: λ of :func:`sftcore.regularization.co_tuning.co_tuning_loss`.
        label_smoothing: ε in [0, 1).
        class_weighting: see :func:`sftcore.regularization.imbalance.class_weights`.
        balanced_sampling: see :func:`sftcore.regularization.imbalance.sampling_probabilities`.
        logit_adjustment: see :func:`sftcore.regularization.imbalance.logit_offsets`.
        sam_rho: see :func:`sftcore.regularization.sharpness.moved_uphill`; 0 is off.
        sam_every: updates from one with SAM to the next.
        clipping: limits on the gradient.
        batch_norm: see :mod:`sftcore.stability.batch_norm`.
        batch_size: pictures per update.
        micro_batch_size: pictures per forward and backward pass; 0 takes the batch as a whole.
        precision: see :func:`sftcore.stability.precision.computed_in`.
        guard: what counts as trouble, and the answers.
    """

    optimizer: str
    momentum: float
    weight_decay: float
    penalties: Coefficients
    penalty_form: str
    head_penalty_factor: float
    penalize_norm_and_bias: bool
    layer_rate_decay: float
    delta: float
    bss: float
    co_tuning: float
    label_smoothing: float
    class_weighting: float
    balanced_sampling: float
    logit_adjustment: float
    sam_rho: float
    sam_every: int
    clipping: Clipping
    batch_norm: str
    batch_size: int
    micro_batch_size: int
    precision: str
    guard: GuardSettings


@dataclass(frozen=True)
class Selection:
    """Which epoch a training ends with.

    On few validation pictures the least of many losses is mostly luck, and a schedule is made for
    its end; so an earlier epoch has to be better beyond noise (in the spirit of the rule of one
    standard error; Breiman et al., 1984, Classification and regression trees, section 3.4.3).

    Attributes:
        metric: see :func:`sftcore.training.records.is_better`.
        margin: standard errors by which an earlier epoch must beat the last one; 0 takes the best.
    """

    metric: str
    margin: float


@dataclass(frozen=True)
class Averaging:
    """Which averages of parameters are kept while training, and tried at its end.

    Attributes:
        ema_decay: of the average that is measured instead of the newest parameters; 0 is off.
        swa_fraction: last part of all epochs whose parameters are averaged, as far as they belong
            to the last phase; 0 is off.
        soup_size: best epochs that are offered to a greedy soup; 0 is off.
        wise_ft: whether the line from the start of the last phase to its result is tried.
    """

    ema_decay: float
    swa_fraction: float
    soup_size: int
    wise_ft: bool

    def is_in_swa(self, num_left: int, num_epochs: int) -> bool:
        """Whether an epoch of the last phase is averaged by SWA.

        Epochs of another phase are not: that one trains other parameters, towards another end.

        Args:
            num_left: epochs to the end of the phase, the epoch itself among them.
            num_epochs: of all phases.
        """
        return self.swa_fraction > 0 and num_left <= max(1, round(self.swa_fraction * num_epochs))
