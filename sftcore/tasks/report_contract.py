"""What the evaluation of a finished model needs of its task: the second half of a task.

The first half (:mod:`sftcore.tasks.contract`) is what a training needs. They are apart so that a
word of a report changes no key of a training.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from sftcore.foundations.errors import DataError
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.reporting.parts import Part
from sftcore.tasks.answers import answers_of

SPLITS = ("train", "val", "test")
AddParts = Callable[[Path], Sequence[Part]]


def no_parts(folder: Path) -> Sequence[Part]:
    """Adds nothing to a report."""
    return ()


@dataclass(frozen=True)
class Finished:
    """What a finished model says of a data set, beside what is true.

    Attributes:
        answers: of every picture [N, K], see :func:`sftcore.tasks.answers.answers_of`.
        targets: of every picture [N, ...], as the store has them.
        ids: names of the pictures [N].
        splits: names of their splits [N].
        groups: name of each picture's group of near-duplicates [N], resampled together.
        examples: uint8 [N, S, S, 3] of pictures, objects [N] of texts.
    """

    answers: np.ndarray
    targets: np.ndarray
    ids: Sequence[str]
    splits: Sequence[str]
    groups: Sequence[str]
    examples: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split, ascending."""
        return np.flatnonzero(np.asarray(self.splits, dtype=object) == split)

    def of(self, split: str) -> "Finished":
        """The pictures of one split."""
        rows = self.rows(split)
        ids, splits, groups = (
            np.asarray(names, dtype=object)[rows] for names in (self.ids, self.splits, self.groups)
        )
        return Finished(
            self.answers[rows], self.targets[rows], ids, splits, groups, self.examples[rows]
        )

    def check(self) -> None:
        """Refuse what cannot be reported.

        Raises:
            DataError: lengths differ, a split is empty, or an answer is not finite.
        """
        lengths = {
            name: len(values) for name, values in vars(self).items() if len(values) != len(self.ids)
        }
        if lengths:
            raise DataError(f"{len(self.ids)} pictures, but {lengths}: give one per picture")
        if empty := [split for split in SPLITS if not len(self.rows(split))]:
            raise DataError(
                f"no picture in split {', '.join(empty)}, so there is nothing to report: add "
                "pictures, or raise data.val_fraction and data.test_fraction"
            )
        if num_bad := int((~np.isfinite(self.answers)).any(axis=1).sum()):
            raise DataError(
                f"the model gives no finite answer for {num_bad} of {len(self.ids)} pictures: it "
                "diverged, so lower train.learning_rate and train again"
            )


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        num_resamples: of the bootstrap.
        confidence: of the intervals.
        num_bins: of the calibration error.
        seed: of the bootstrap.
    """

    num_resamples: int
    confidence: float
    num_bins: int
    seed: int


@dataclass(frozen=True)
class Measuring(Resampling):
    """How a report is made.

    Attributes:
        num_most_wrong: pictures shown.
        coverage: wanted of intervals around numbers.
    """

    num_most_wrong: int
    coverage: float


@dataclass(frozen=True)
class Shown:
    """Examples as the rows to beat see them.

    Attributes:
        features: of the frozen backbone [N, D].
        examples: themselves, uint8 [N, S, S, 3] or objects [N] of text.
    """

    features: Tensor
    examples: np.ndarray


@dataclass(frozen=True)
class Known(Shown):
    """Examples with their targets.

    Attributes:
        targets: [N, ...], on the features' device.
    """

    targets: Tensor

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Features and targets."""
        return self.features, self.targets


class TaskReport(ABC):
    """What is told of a finished model.

    Args:
        names: of the outputs.
        facts: of the model's record.

    Raises:
        WeightsError: the facts are damaged.

    Attributes:
        name: of the task, in :data:`sftcore.tasks.registry.TASKS`.
        number: the headline's name in ``metrics.json``, under ``test``.
        words: the headline, as sentences have it.
        probe: the row that fine-tuning has to be worth something over, in ``metrics.json``.
        answers: what outputs [B, K] of the network say, [B, K]: probabilities, or numbers.
        headline: where each number of MLflow's list stands in ``metrics.json``.
        figures: of ``reports/evaluate`` that DVC compares between experiments, without ``.png``.
        charts: that DVC draws itself from tables of ``reports/evaluate``, as dvc.yaml has them.
        tolerances: by how much a number of ``metrics.json`` under ``test`` may differ on a machine
            of another kind; sums differ in their last digits there, which training magnifies.
    """

    name: ClassVar[str]
    number: ClassVar[str]
    words: ClassVar[str]
    probe: ClassVar[str]
    headline: ClassVar[Mapping[str, tuple[str, str]]]
    figures: ClassVar[tuple[str, ...]]
    charts: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    tolerances: ClassVar[Mapping[str, float]]

    def __init__(self, names: Sequence[str], facts: Mapping[str, Any]) -> None:
        self.names = list(names)
        self.answers = answers_of(self.name, facts)

    @abstractmethod
    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """What the frozen features say without fine-tuning, as answers of val and test.

        Args:
            train: examples with their targets.
            val: likewise.
            test: without.
        """

    @abstractmethod
    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """Write everything that is known of a finished model.

        The folder holds ``metrics.json``, the headline ``test.json``, ``predictions.csv``, tables,
        figures (``baselines.png`` with ``baselines.csv``, which the page shows first) and parts.

        Args:
            finished: the model's answers.
            measuring: how often resamples are drawn, and the like.
            output: folder to write.
            baselines: of :meth:`rows_to_beat`; without any, nothing is said of them.
            add_parts: writes more files into the folder that it is given, and says what they show.

        Returns:
            The content of ``metrics.json``; ``task`` is missing for classification alone.

        Raises:
            DataError: see :meth:`Finished.check`.
            OutputError: the disk is full or the folder cannot be written.
        """

    @classmethod
    @abstractmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Of the page.

        Args:
            data: content of the ``summary.json`` of the prepared data.
        """

    @classmethod
    def headline_metrics(cls, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The numbers that MLflow's list shows; ``metrics.json`` holds them all."""
        places = cls.headline.items()
        return {name: _read(metrics[group][number]) for name, (group, number) in places}

    @classmethod
    def answer_text(cls, metrics: Mapping[str, Any]) -> str:
        """The headline on test and those of the rows to beat, with intervals, as a table."""
        confidence = metrics["interval"]["confidence"]
        lines = [
            f"| on {metrics['test']['num_pictures']} test pictures | {cls.words} | "
            f"{confidence:.0%} interval |",
            "|---|---|---|",
        ]
        for place, (title, value, low, high) in enumerate(cls._headlines(metrics)):
            shown = title if place else "**fine-tuned**"
            lines.append(f"| {shown} | {value:.3f} | {low:.3f} to {high:.3f} |")
        return "\n".join(lines)

    @classmethod
    def first_answer(cls, metrics: Mapping[str, Any]) -> list[str]:
        """The headline on test and those of the rows to beat, with intervals, a line each."""
        confidence = metrics["interval"]["confidence"]
        return [
            f"{cls.words} on {metrics['test']['num_pictures']} test pictures, "
            f"{confidence:.0%} interval",
            *(
                f"  {title:<20} {value:.3f} [{low:.3f}, {high:.3f}]"
                for title, value, low, high in cls._headlines(metrics)
            ),
            *cls.last_lines(metrics),
        ]

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """What the first answer ends with."""
        return []

    @classmethod
    def closing(cls, metrics: Mapping[str, Any]) -> str:
        """The sentence on the test split."""
        _, value, low, high = cls._headlines(metrics)[0]
        count = metrics["test"]["num_pictures"]
        return f"Test {cls.words} {value:.3f} [{low:.3f}, {high:.3f}], {count} pictures."

    @classmethod
    def worth_on_test(cls, metrics: Mapping[str, Any]) -> str:
        """What stands in for the answer of a study that was left out: one model on one split."""
        value, low, high = (
            _read(metrics["worth"][f"test_{cls.number}{end}"]) for end in ("", "_low", "_high")
        )
        return (
            f"Over {cls.probe.replace('_', ' ')} on its features, on test: {cls.words} "
            f"{value:+.3f} [{low:+.3f}, {high:+.3f}]."
        )

    @classmethod
    def _headlines(cls, metrics: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
        """Title, value and interval of the model and of the rows to beat."""
        rows = [("fine-tuned", metrics["test"], cls.number)]
        rows += [
            (name.replace("_", " "), row, f"test_{cls.number}")
            for name, row in metrics.get("baselines", {}).items()
        ]
        return [
            (title, _read(row[name]), _read(row[f"{name}_low"]), _read(row[f"{name}_high"]))
            for title, row, name in rows
        ]


def _read(value: float | None) -> float:
    """A number of ``metrics.json``, where what has no value is null."""
    return float("nan") if value is None else float(value)
