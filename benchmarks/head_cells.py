"""Cells that cost milliseconds: a linear head on frozen features, for the study's calibration.

A head is trained by minibatch SGD on a replicate's pictures; the choosing pictures take the epoch,
the judging ones measure it, as :mod:`sftcore.ablation.cells` does with whole trainings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.pools import Population, draw_pool
from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import Cell
from sftcore.data.portions import Parts, Portion, take_portion
from sftcore.foundations.randomness import numpy_stream
from sftcore.models.settings import ModelSettings
from sftcore.training.records import EpochRecord, candidate_of
from sftcore.training.settings import TrainSettings

NUM_EPOCHS = 12
UPDATES_PER_EPOCH = 6  # at most; six times all pictures where a batch holds them
FEATURE_SCALE = 8.0  # with it, the learning rates of whole trainings suit a head
MOMENTUM = 0.9
PROBE_EPOCHS = 1  # a probe that is worth little, so that rows alone decide what is advised
REPLICATES_PER_STUDY = 10_000


@dataclass(frozen=True)
class Recipe:
    """What a head is trained with; equal recipes differ by luck alone.

    Attributes:
        learning_rate: constant.
        weight_decay: times the learning rate, per update.
        smoothing: of the labels.
        dropout: of the features.
        batch_size: pictures per update.
        wrong: part of the training labels that are exchanged for random ones. A head sees no
            pictures, so ``random_erasing`` carries it.
    """

    learning_rate: float
    weight_decay: float
    smoothing: float
    dropout: float
    batch_size: int
    wrong: float


def recipe_of(model: ModelSettings, train: TrainSettings) -> Recipe:
    """The part of the parameters that a head heeds."""
    rate = train.learning_rate
    assert not isinstance(rate, str)
    return Recipe(
        rate, train.weight_decay, train.label_smoothing, model.dropout, train.batch_size,
        train.augmentation.erasing,
    )  # fmt: skip


@dataclass
class HeadCells:
    """Trains the cells of one study: the injected ``train_cells``.

    Attributes:
        population: that the study draws its pool from.
        study: number; decides pool, replicates and luck.
        judge_fraction: of a replicate.
        choose_fraction: of a replicate.
        taken_off: true effects that are taken off the judged loss, by recipe.
        has_own_luck: whether every row draws its own start and order; rows of real studies share
            them in a replicate, so that rows without a difference would be equal to the last bit.
    """

    population: Population
    study: int
    judge_fraction: float
    choose_fraction: float
    taken_off: Mapping[Recipe, float] = field(default_factory=dict)
    has_own_luck: bool = False
    _pool: pd.DataFrame | None = None
    _parts: dict[int, Parts] = field(default_factory=dict)

    def __call__(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Results of cells, in their order."""
        return [self._train(cell) for cell in cells]

    def parts(self, replicate: int) -> Parts:
        """Rows of the population; every study has replicates of its own."""
        if self._pool is None:
            self._pool = draw_pool(self.population, self.study)
        if replicate not in self._parts:
            number = self.study * REPLICATES_PER_STUDY + replicate
            portion = Portion(number, self.judge_fraction, self.choose_fraction)
            self._parts[replicate] = take_portion(self._pool, portion, 0)
        return self._parts[replicate]

    def _train(self, cell: Cell) -> CellResult:
        parts, row = self.parts(cell.replicate), cell.row
        recipe = recipe_of(row.model, row.train)
        seed = self.study * REPLICATES_PER_STUDY + cell.replicate
        own = (row.name, row.setting) if self.has_own_luck else ()
        stream = numpy_stream(seed, "head", *own, cell.seed)
        found = head_cell(self.population, parts, cell, recipe, stream)
        if recipe in self.taken_off and not row.is_probe:
            found.judged["loss"] -= self.taken_off[recipe]
        return found


def head_cell(
    population: Population, parts: Parts, cell: Cell, recipe: Recipe, stream: np.random.Generator
) -> CellResult:
    """Train a head; the epoch is the choosing pictures' choice."""
    count = PROBE_EPOCHS if cell.row.is_probe else NUM_EPOCHS
    epochs = descend(population, parts, recipe, stream, count)
    history = [_record(population, parts, number, w) for number, w in enumerate(epochs)]
    best = int(np.argmin([record.val_loss for record in history]))
    judged, last = (
        {"loss": _loss(population, parts.judge, weights)} for weights in (epochs[best], epochs[-1])
    )
    return CellResult(
        cell=cell, key="", history=history, best_epoch=best, diverged="",
        candidates=[candidate_of(history[best])], chosen=0, judged=judged, last=last,
        num_train=len(parts.train), num_judge=len(parts.judge), num_choose=len(parts.val),
    )  # fmt: skip


def head_loss(
    population: Population, parts: Parts, recipe: Recipe, study: int, replicate: int
) -> float:
    """Judged loss of one head, by itself; recipes share the luck of a replicate.

    Args:
        population: of the pictures.
        parts: of a replicate.
        recipe: of the head.
        study: number of the pool.
        replicate: number.
    """
    stream = numpy_stream(study, "truth", replicate)
    epochs = descend(population, parts, recipe, stream, NUM_EPOCHS)
    losses = [_loss(population, parts.val, weights) for weights in epochs]
    return _loss(population, parts.judge, epochs[int(np.argmin(losses))])


def _loss(population: Population, rows: np.ndarray, weights: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    labels = population.labels[rows]
    chance = _softmax(_logits(population, rows, weights))[np.arange(len(rows)), labels]
    return float(-np.log(chance.clip(1e-30)).mean())


def descend(
    population: Population, parts: Parts, recipe: Recipe, stream: np.random.Generator, num: int
) -> list[np.ndarray]:
    """Weights [D + 1, C] after each epoch of SGD with momentum; the last row is the bias."""
    features = _inputs(population, parts.train)
    targets = _targets(population, parts.train, recipe, stream)
    size, count = recipe.batch_size, len(features)
    weights = stream.normal(0, 0.01, (features.shape[1], population.num_classes))
    weights = weights.astype(np.float32)
    velocity, epochs = np.zeros_like(weights), []
    num_updates = UPDATES_PER_EPOCH if size >= count else min(UPDATES_PER_EPOCH, -(-count // size))
    for _ in range(num):
        order = stream.permutation(count)
        for step in range(num_updates):
            rows = order[step * size : (step + 1) * size] if size < count else order
            inputs = features[rows]
            if recipe.dropout > 0:
                kept = stream.random(inputs.shape, np.float32) >= recipe.dropout
                kept[:, -1] = True
                inputs = inputs * kept / np.float32(1 - recipe.dropout)
            gradient = inputs.T @ (_softmax(inputs @ weights) - targets[rows]) / len(rows)
            velocity = MOMENTUM * velocity + gradient + recipe.weight_decay * weights
            weights = weights - recipe.learning_rate * velocity
        epochs.append(weights)
    return epochs


def _targets(
    population: Population, rows: np.ndarray, recipe: Recipe, stream: np.random.Generator
) -> np.ndarray:
    """Float32 targets [N, C] with wrong and smoothed labels."""
    labels, num_classes = population.labels[rows], population.num_classes
    if recipe.wrong > 0:
        is_wrong = stream.random(len(labels)) < recipe.wrong
        labels = np.where(is_wrong, stream.integers(0, num_classes, len(labels)), labels)
    plain = np.eye(num_classes, dtype=np.float32)[labels]
    return plain * (1 - recipe.smoothing) + recipe.smoothing / num_classes


def _inputs(population: Population, rows: np.ndarray) -> np.ndarray:
    """Scaled features [N, D + 1], the last column of ones."""
    ones = np.ones((len(rows), 1), dtype=np.float32)
    return np.hstack([population.features[rows] * np.float32(FEATURE_SCALE), ones])


def _logits(population: Population, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (_inputs(population, rows) @ weights).astype(float)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _record(population: Population, parts: Parts, epoch: int, weights: np.ndarray) -> EpochRecord:
    """Of an epoch: what selection and the table ask for; the rest is nought."""
    losses, rights = [], []
    for rows in (parts.train, parts.val):
        labels, logits = population.labels[rows], _logits(population, rows, weights)
        chance = _softmax(logits)[np.arange(len(rows)), labels]
        losses.append(float(-np.log(chance.clip(1e-30)).mean()))
        rights.append(float((logits.argmax(axis=1) == labels).mean()))
    scores = {"train_accuracy": rights[0], "val_accuracy": rights[1]}
    return EpochRecord(
        epoch, "head", losses[0], losses[1], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, scores
    )
