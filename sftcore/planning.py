"""Sections of params.yaml as the plain settings that the engine takes."""

from dataclasses import replace

import numpy as np

from sftcore.data.loader import split_batches
from sftcore.data.pictures.augment import Augmentation
from sftcore.foundations.errors import ParamsError
from sftcore.optimization.clipping import Clipping
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.optimization.optimizers import scaled_rate
from sftcore.optimization.schedules import Schedule
from sftcore.regularization.penalties import Coefficients
from sftcore.settings.sections import ModelParams, TrainParams
from sftcore.stability.guard import GuardSettings
from sftcore.training.settings import Averaging, Phase, Seeds, Sweep, Update


def plan_phases(model: ModelParams, train: TrainParams, num_blocks: int) -> list[Phase]:
    """The head first, then the trained blocks with it (LP-FT; Kumar et al., ICLR 2022).

    The head phase sees plain pictures, so that the backbone's features are computed only once.

    Raises:
        ParamsError: more blocks are asked for than the backbone has.
    """
    wanted = num_blocks if model.trainable_blocks == "all" else model.trainable_blocks
    if wanted > num_blocks:
        raise ParamsError(
            f"model.trainable_blocks is {wanted}; {model.backbone} can be cut into {num_blocks} "
            f"block{'s' * (num_blocks > 1)}: set 'all' or a number from 0 to {num_blocks}"
        )
    head = Phase(
        name="head",
        num_epochs=num_head_epochs(train),
        first_block=num_blocks,
        unfreeze_every_epochs=0,
        learning_rate=_peak(train, train.head_learning_rate),
        schedule=plan_schedule(train),
        sweep=_sweep(train, train.head_learning_rate),
        augmentation=Augmentation(),
        early_stopping_patience=train.early_stopping_patience,
        early_stopping_min_change=train.early_stopping_min_change,
        strengths=_strengths(train),
    )
    full = replace(
        head,
        name="full",
        strengths=(),
        num_epochs=train.epochs,
        first_block=num_blocks - wanted,
        unfreeze_every_epochs=train.unfreeze_every_epochs,
        learning_rate=_peak(train, train.learning_rate),
        sweep=_sweep(train, train.learning_rate),
        augmentation=changed_pictures(train),
    )
    return [phase for phase in (head, full) if phase.num_epochs > 0]


def num_head_epochs(train: TrainParams) -> int:
    """Epochs of the head phase in the history; a solved head is one."""
    return 1 if train.head == "solve" else train.head_epochs


def _strengths(train: TrainParams) -> tuple[float, ...]:
    if train.head != "solve":
        return ()
    return STRENGTHS if isinstance(train.head_strength, str) else (train.head_strength,)


def changed_pictures(train: TrainParams) -> Augmentation:
    """How the training pictures of the full phase are changed."""
    return Augmentation(
        policy=train.augmentation_policy,
        strength=train.augmentation,
        erasing=train.random_erasing,
        mixup=train.mixup,
        cutmix=train.cutmix,
    )


def _peak(train: TrainParams, rate: float | str) -> float | None:
    """The peak for this size of the batch; None where the range test decides, at that size."""
    if isinstance(rate, str):
        return None
    return scaled_rate(rate, train.rate_scaling, train.batch_size, train.rate_scaling_batch_size)


def _sweep(train: TrainParams, rate: float | str) -> Sweep | None:
    if not train.range_test and not isinstance(rate, str):
        return None
    return Sweep(
        least=train.range_test_least,
        most=train.range_test_most,
        num_steps=train.range_test_steps,
        suggestion=train.range_test_suggestion,
    )


def plan_schedule(train: TrainParams) -> Schedule:
    """How the learning rate goes on from its peak."""
    return Schedule(
        name=train.schedule,
        warmup=train.warmup,
        factor=train.schedule_factor,
        every=train.schedule_every,
        milestones=tuple(train.schedule_milestones),
        end=train.schedule_end,
        power=train.schedule_power,
        cycles=train.schedule_cycles,
        rise=train.schedule_rise,
        decay=train.schedule_decay,
        patience=train.schedule_patience,
    )


def check_lengths(train: TrainParams, num_train: int) -> None:
    """Refuse a schedule that does not fit into the phases.

    Args:
        train: the recipe.
        num_train: training pictures.

    Raises:
        ParamsError: a length is more than a phase has.
    """
    steps_per_epoch = len(split_batches(np.arange(num_train), train.batch_size))
    for num_epochs in (0 if train.head == "solve" else train.head_epochs, train.epochs):
        if num_epochs > 0:
            try:
                plan_schedule(train).in_steps(num_epochs, steps_per_epoch)
            except ValueError as error:
                raise ParamsError(str(error)) from error


def plan_seeds(train: TrainParams, seed: int) -> Seeds:
    """The seed of each stream: its own, or else that of the training."""

    def own(value: int | None) -> int:
        return seed if value is None else value

    return Seeds(own(train.seed_init), own(train.seed_order), own(train.seed_augmentation))


def plan_guard(train: TrainParams) -> GuardSettings:
    """What counts as trouble, and the answers."""
    return GuardSettings(
        answers=() if train.guard == "none" else tuple(train.guard.split("+")),
        loss_z=train.guard_loss_z,
        loss_run=train.guard_loss_run,
        norm_factor=train.guard_norm_factor,
        window=train.guard_window,
        snapshot_updates=train.guard_snapshot_updates,
        rate_factor=train.guard_rate_factor,
        max_incidents=train.guard_max_incidents,
    )


def plan_update(train: TrainParams, precision: str) -> Update:
    """The settings of one update."""
    return Update(
        optimizer=train.optimizer,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        penalties=Coefficients(train.l1, train.l2, train.l1_sp, train.l2_sp),
        penalty_form=train.penalty_form,
        head_penalty_factor=train.head_penalty_factor,
        penalize_norm_and_bias=train.penalize_norm_and_bias,
        layer_rate_decay=train.layer_rate_decay,
        delta=train.delta,
        bss=train.bss,
        co_tuning=train.co_tuning,
        label_smoothing=train.label_smoothing,
        class_weighting=train.class_weighting,
        balanced_sampling=train.balanced_sampling,
        logit_adjustment=train.logit_adjustment,
        sam_rho=train.sam_rho,
        sam_every=train.sam_every,
        clipping=Clipping(agc=train.clip_agc, value=train.clip_value, norm=train.clip_norm),
        batch_norm=train.batch_norm,
        batch_size=train.batch_size,
        micro_batch_size=train.micro_batch_size,
        precision=precision,
        guard=plan_guard(train),
    )


def plan_averaging(train: TrainParams) -> Averaging:
    """Which averages of parameters are tried."""
    return Averaging(
        ema_decay=train.ema_decay,
        swa_fraction=train.swa_fraction,
        soup_size=train.soup_size,
        wise_ft=train.wise_ft,
    )
