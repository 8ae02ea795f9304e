"""The head before anything else is trained: solved on the features of the frozen backbone."""

import logging
from functools import partial

import torch
from torch import Tensor

from sftcore.foundations.artifacts import sha256_bytes, sha256_json
from sftcore.models.network import Network
from sftcore.optimization.linear_head import LinearHead, choose_head
from sftcore.tasks.classification import classification_loss, measure
from sftcore.training.inputs import Inputs
from sftcore.training.objective import Knowledge
from sftcore.training.plan import Course, Plan
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
    plan, knowledge, cache = course.plan, course.knowledge, course.cache
    rows, update = plan.rows, plan.update
    key = sha256_json([
        plan.frozen_identity, sha256_bytes(rows.train.tobytes()), sha256_bytes(rows.val.tobytes()),
        list(strengths), update.label_smoothing, update.imbalance.class_weighting,
        update.imbalance.logit_adjustment,
    ])  # fmt: skip
    if key not in cache.heads:
        features, labels = inputs.reader(rows.train)(rows.train), _labels(plan, rows.train)
        val, val_labels = inputs.reader(rows.val)(rows.val), _labels(plan, rows.val)
        loss_of = partial(_loss, labels=labels, smoothing=update.label_smoothing, known=knowledge)
        chosen = choose_head(
            features,
            loss_of,
            lambda head: measure(head.logits(val), val_labels)[0],
            rows.num_classes,
            strengths,
        )
        cache.keep_head(key, chosen)
    return cache.heads[key]


def _labels(plan: Plan, rows: object) -> Tensor:
    return plan.rows.labels[torch.as_tensor(rows).to(plan.rows.labels.device)]


def _loss(logits: Tensor, labels: Tensor, smoothing: float, known: Knowledge) -> Tensor:
    """The training's loss of float64 logits [N, C]."""
    if known.logit_offsets is not None:
        logits = logits + known.logit_offsets.double()
    weights = None if known.class_weights is None else known.class_weights.double()
    return classification_loss(logits, labels, smoothing, weights)
