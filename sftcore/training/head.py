"""The head before anything else is trained: solved on the features of the frozen backbone."""

import logging
from functools import partial

import torch

from sftcore.foundations.artifacts import sha256_bytes, sha256_json
from sftcore.models.network import Network
from sftcore.optimization.linear_head import LinearHead, choose_head
from sftcore.training.inputs import Inputs
from sftcore.training.plan import Course
from sftcore.training.records import HeadStart

LOGGER = logging.getLogger("sftcore")


def solve_head(
    network: Network, inputs: Inputs, strengths: tuple[float, ...], course: Course
) -> HeadStart:
    """Put the optimum of the head's convex problem into the network.

    The loss is that of the training (smoothing, weights and offsets of classes) on plain pictures.
    Of several strengths the one with the least validation loss is taken, the strongest of equals.

    Args:
        network: in evaluation mode; its head is changed.
        inputs: of the head: features of plain pictures.
        strengths: λ that are tried, see :mod:`sftcore.optimization.linear_head`.
        course: of the training.

    Returns:
        What was put in.
    """
    chosen = _chosen(inputs, strengths, course)
    if not chosen.has_converged:
        LOGGER.warning(
            "the head is not at its optimum: gradient %.1e after %d iterations",
            chosen.gradient, chosen.num_iterations,
        )  # fmt: skip
    with torch.no_grad():
        network.head.linear.weight.copy_(chosen.weight)
        network.head.linear.bias.copy_(chosen.bias)
    return HeadStart(chosen.strength, chosen.gradient, chosen.num_iterations)


def _chosen(inputs: Inputs, strengths: tuple[float, ...], course: Course) -> LinearHead:
    """The optimum that validation chooses, found once for trainings that share the problem."""
    plan, cache, task = course.plan, course.cache, course.plan.task
    rows, update = plan.rows, plan.update
    key = sha256_json([
        plan.frozen_identity, sha256_bytes(rows.train.tobytes()), sha256_bytes(rows.val.tobytes()),
        list(strengths), update.label_smoothing, update.imbalance.model_dump(),
        update.error.model_dump(),
    ])  # fmt: skip
    if key not in cache.heads:
        targets, val_targets = task.of(rows.train), task.of(rows.val)
        features, val = inputs.features(rows.train), inputs.features(rows.val)
        loss_of = partial(course.criterion, targets=targets, weight=task.weight(targets))
        chosen = choose_head(
            features,
            loss_of,
            lambda head: task.measure(head.logits(val), val_targets)["loss"],
            task.num_outputs,
            strengths,
        )
        cache.keep_head(key, chosen)
    return cache.heads[key]
