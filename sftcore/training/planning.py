"""From the recipe to phases: what is trained when, at which rate."""

from dataclasses import replace

import numpy as np

from sftcore.data.loader import split_batches
from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.foundations.errors import ParamsError
from sftcore.models.settings import ModelSettings
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.optimization.optimizers import scaled_rate
from sftcore.optimization.range_test import RangeTestSettings
from sftcore.training.settings import HeadSettings, Phase, TrainSettings


def plan_phases(
    model: ModelSettings, train: TrainSettings, num_blocks: int, *, has_new_head: bool = True
) -> list[Phase]:
    """The head first, then the trained blocks with it (LP-FT; Kumar et al., ICLR 2022).

    The head phase sees plain examples, so that the backbone's features are computed only once.
    A network whose head came with it is measured as it is instead.

    Args:
        model: how many blocks are trained.
        train: the recipe.
        num_blocks: of the backbone.
        has_new_head: whether a head is made for the task.

    Raises:
        ParamsError: more blocks are asked for than the backbone has, or nothing would be trained.
    """
    wanted = num_blocks if model.trainable_blocks == "all" else model.trainable_blocks
    if wanted > num_blocks:
        raise ParamsError(
            f"model.trainable_blocks is {wanted}; {model.backbone} can be cut into {num_blocks} "
            f"block{'s' * (num_blocks > 1)}: set 'all' or a number from 0 to {num_blocks}"
        )
    head = Phase(
        name="head",
        num_epochs=train.head.num_epochs,
        first_block=num_blocks,
        unfreeze_every_epochs=0,
        learning_rate=_peak(train, train.head.learning_rate),
        schedule=train.schedule,
        sweep=_sweep(train, train.head.learning_rate),
        augmentation=AugmentationSettings(),
        stopping=train.stopping,
        strengths=_strengths(train.head),
    )
    full = Phase(
        name="full",
        num_epochs=train.epochs,
        first_block=num_blocks - wanted,
        unfreeze_every_epochs=train.unfreeze_every_epochs,
        learning_rate=_peak(train, train.learning_rate),
        schedule=train.schedule,
        sweep=_sweep(train, train.learning_rate),
        augmentation=train.augmentation,
        stopping=train.stopping,
    )
    if not has_new_head:
        if wanted == 0 and train.epochs > 0:
            raise ParamsError(
                "model.trainable_blocks is 0, and the head came with the model: nothing would be "
                "trained. Raise it, or set train.epochs to 0 to measure the model as it came"
            )
        head = replace(
            head, name="start", num_epochs=1, sweep=None, strengths=(), is_measured_only=True
        )
    return [phase for phase in (head, full) if phase.num_epochs > 0]


def _strengths(head: HeadSettings) -> tuple[float, ...]:
    if head.method != "solve":
        return ()
    return STRENGTHS if isinstance(head.strength, str) else (head.strength,)


def _peak(train: TrainSettings, rate: float | str) -> float | None:
    """The peak for this size of the batch; None where the range test decides, at that size."""
    if isinstance(rate, str):
        return None
    return scaled_rate(rate, train.rate_scaling, train.batch_size)


def _sweep(train: TrainSettings, rate: float | str) -> RangeTestSettings | None:
    return train.range_test if train.range_test.enabled or isinstance(rate, str) else None


def check_lengths(train: TrainSettings, num_train: int) -> None:
    """Refuse a schedule that does not fit into the phases.

    Args:
        train: the recipe.
        num_train: training examples.

    Raises:
        ParamsError: a length is more than a phase has.
    """
    steps_per_epoch = len(split_batches(np.arange(num_train), train.batch_size))
    for num_epochs in (0 if train.head.method == "solve" else train.head.epochs, train.epochs):
        if num_epochs > 0:
            try:
                train.schedule.in_steps(num_epochs, steps_per_epoch)
            except ValueError as error:
                raise ParamsError(str(error)) from error
