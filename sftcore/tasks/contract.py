"""What a task is: everything that differs between tasks, as the engine sees it.

Nothing outside of ``tasks/`` asks which task it serves. An object of a task holds the targets of a
data set; rows are rows of the store throughout.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.errors import ParamsError
from sftcore.models.dense.settings import BoxLossSettings, PixelLossSettings
from sftcore.models.network import Network
from sftcore.models.settings import ModelSettings
from sftcore.regularization.error_loss import ErrorSettings
from sftcore.regularization.imbalance import ImbalanceSettings
from sftcore.regularization.mixing import MixingDraw


class LossSettings(Protocol):
    """What of an update's settings concerns the loss of the task."""

    @property
    def label_smoothing(self) -> float:
        """ε in [0, 1)."""

    @property
    def imbalance(self) -> ImbalanceSettings:
        """Answers to targets of unequal frequency."""

    @property
    def error(self) -> ErrorSettings:
        """What an error of a number costs."""

    @property
    def pixel_loss(self) -> PixelLossSettings:
        """What pixels cost besides their cross-entropy."""

    @property
    def box_loss(self) -> BoxLossSettings:
        """What classes and boxes at the points of a pyramid cost."""


class Criterion(Protocol):
    """The training loss of a part of a batch.

    It is the sum over the part's rows, divided by the weight of the whole batch: so parts of a
    batch add up to the batch, however unequal they are.
    """

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """A scalar of outputs [B, ...] and targets [B, ...]; ``weight`` is of the whole batch."""


OwnTargets = Callable[[np.ndarray], Tensor]  # targets [B, ...] of rows
Known = tuple[Tensor, np.ndarray]  # frozen features [n, D] and the rows that they are of


def is_error(score: str) -> bool:
    """Whether less of a score is better: errors are called errors."""
    return score.endswith("_error")


def is_less_better(metric: str) -> bool:
    """Whether less of a loss or score is better."""
    return metric == "loss" or is_error(metric)


class Task(ABC):
    """The targets of a data set, and all that is done with them.

    Args:
        targets: of every row [N, ...], on the device; what is hidden is never asked for.
        names: of the outputs.
        train_rows: that are trained on.

    Attributes:
        own_targets: gives the targets of rows [B, ...] where the examples themselves hold them.
        name: in :data:`sftcore.tasks.registry.TASKS`.
        examples: what examples are called.
        outputs: what the outputs are called.
        scores: what is measured besides the loss, the headline first; more is better, but for those
            that are called errors (:func:`is_error`).
        headline: numbers of MLflow's list of trainings, in its order, and where ``metrics.json`` of
            the evaluation has each.
        in_steps: scores that one example moves by 1/N.
        words: of the loss and the scores, as sentences have them.
        loss_unit: of the loss.
        loss_words: what the losses of a history are.
        remainder: what is left of the headline to 1, for a learning curve.
        outcomes: what a study measures besides loss and scores, on examples that had no say.
        simpler_rows: rows to beat that are simpler than the probe.
        simpler_words: these, as sentences have them.
        probe_words: the head at its optimum on frozen features, as a row to beat.
        before_words: what fine-tuning has to be worth something over, as sentences have it.
        refuses: settings that make no sense here, with the reason.
        solves_head: whether the head's problem is convex, so that it can be solved.
        most_measured: training examples that are measured after every epoch.
        has_new_head: whether a head is made for the task; else the one that the weights came with
            is gone on with, and what it says before any update is the first to beat.
    """

    name: ClassVar[str]
    examples: ClassVar[str] = "pictures"
    outputs: ClassVar[str]
    scores: ClassVar[tuple[str, ...]]
    headline: ClassVar[Mapping[str, tuple[str, str]]]
    in_steps: ClassVar[frozenset[str]] = frozenset()
    words: ClassVar[Mapping[str, str]]
    loss_unit: ClassVar[str]
    loss_words: ClassVar[str]
    remainder: ClassVar[str]
    outcomes: ClassVar[tuple[str, ...]] = ()
    simpler_rows: ClassVar[tuple[str, ...]]
    simpler_words: ClassVar[str]
    probe_words: ClassVar[str]
    before_words: ClassVar[str] = "the features as they are"
    refuses: ClassVar[Mapping[str, str]] = {}
    solves_head: ClassVar[bool] = True
    most_measured: ClassVar[int] = 5000
    has_new_head: ClassVar[bool] = True

    def __init__(self, targets: Tensor, names: Sequence[str], train_rows: np.ndarray) -> None:
        self.targets = targets
        self.own_targets: OwnTargets | None = None
        self.names = names
        self.train_rows = train_rows

    def meet(  # noqa: B027 (most tasks ask a network nothing)
        self, network: Network, model: ModelSettings, loss: LossSettings, image_size: int
    ) -> None:
        """Take from the network what targets are matched with; nothing, if nothing else is said.

        Args:
            network: at its start.
            model: its settings.
            loss: of the updates.
            image_size: side of the pictures in pixels; 0 of texts.
        """

    @property
    def num_outputs(self) -> int:
        """Outputs of the head."""
        return len(self.names)

    def record(self) -> dict[str, Any]:
        """Fields of :class:`sftcore.evaluation.predict.ModelRecord` that say what outputs are."""
        return {"task": self.name, "facts": {"names": list(self.names)}}

    @property
    def device(self) -> torch.device:
        """Where the targets are."""
        return self.targets.device

    def of(self, rows: np.ndarray) -> Tensor:
        """Targets of some rows [B, ...]."""
        if self.own_targets is not None:
            return self.own_targets(rows)
        return self.targets[torch.from_numpy(rows).to(self.device)]

    def weight(self, targets: Tensor) -> float:
        """What a batch's loss is divided by: its rows, if nothing else is said."""
        return float(len(targets))

    def mixed(self, rows: np.ndarray, draw: MixingDraw) -> Tensor:
        """Targets of rows that are mixed with others [B, ...].

        Raises:
            ParamsError: nothing is mixed in this task.
        """
        raise ParamsError(self.refusal("train.augmentation.mixup"))

    @abstractmethod
    def criterion(self, settings: LossSettings) -> Criterion:
        """The training loss, as the targets of the training rows have it.

        Args:
            settings: smoothing and weights.
        """

    def chances(self, power: float) -> np.ndarray:
        """Chance of each training row to be drawn [n], for ``balanced_sampling``; sums to one.

        Raises:
            ParamsError: examples of this task have no class whose size could count.
        """
        raise ParamsError(self.refusal("train.imbalance.balanced_sampling"))

    def kept(self, head: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> Tensor:
        """What is kept of rows for measuring them [B, ...]: outputs, if nothing else is said.

        Args:
            head: from features to outputs.
            features: that it takes [B, D], or [T, D] where a row has several.
            targets: of the rows [B, ...].
        """
        return head(features)

    @abstractmethod
    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """``loss`` and the scores of what is kept of rows [N, ...]: plain, in evaluation mode.

        NaN of no row.
        """

    @abstractmethod
    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """How good each row is by a metric, float64 [N]; more is better, also of a loss.

        Args:
            output: what is kept of the rows [N, ...].
            targets: of them.
            metric: of :meth:`metrics`.
        """

    @classmethod
    def probe_phrase(cls) -> str:
        """The same with what it is computed on."""
        return f"{cls.probe_words} on the frozen features" if cls.has_new_head else cls.probe_words

    @classmethod
    def metrics(cls) -> tuple[str, ...]:
        """The loss and the scores."""
        return ("loss", *cls.scores)

    @classmethod
    def resolution(cls, metric: str, num_rows: int) -> float:
        """The step in which a metric moves on so many examples; 0 for one that is smooth."""
        return 1 / num_rows if metric in cls.in_steps else 0.0

    @abstractmethod
    def guessing_loss(self) -> float:
        """Loss of the best answer that looks at no example, as known from the training rows."""

    @abstractmethod
    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """Loss, scores and outcomes of examples that had no say.

        Args:
            output: of the network, float64 [J, ...].
            rows: that they are of [J].
            chosen: outputs and rows that chose everything else, where what they choose at the end
                (a temperature) is to be measured too.
        """

    @abstractmethod
    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """What examples that had no say find of the rows in ``simpler_rows``; see :meth:`judged`.

        Args:
            train: features and rows that are trained on.
            val: features and rows that choose.
            features: of the examples that had no say [J, D].
            rows: that they are of [J].
        """

    def source_wanted(self, source_logits: Tensor) -> Callable[[Tensor], Tensor]:
        """What Co-Tuning wants of the pretrained classifier, as a function of targets.

        Args:
            source_logits: of the training rows [n, S].

        Raises:
            ParamsError: one class of the source goes with no target of this task.
        """
        raise ParamsError(self.refusal("train.features.co_tuning"))

    @classmethod
    def refusal(cls, setting: str) -> str:
        """Why a setting makes no sense here, with its name; empty where it does.

        Args:
            setting: dotted name; it or a group around it may stand in ``refuses``.
        """
        for name, reason in cls.refuses.items():
            if f"{setting}.".startswith(f"{name}."):
                return f"{setting} means nothing for {cls.name}: {reason}"
        return ""
