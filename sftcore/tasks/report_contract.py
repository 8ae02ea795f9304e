"""What the evaluation of a finished model needs of its task: the second half of a task.

The first half (:mod:`sftcore.tasks.contract`) is what a training needs. They are apart so that a
word of a report changes no key of a training.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from sftcore.metrics.rows_to_beat import Baseline, title_of
from sftcore.models.dense.maps import Maps
from sftcore.reporting.numbers import difference
from sftcore.reporting.parts import Part
from sftcore.tasks.answers import answers_of
from sftcore.tasks.finished import Finished, Speaker

_TITLE_WIDTH = 20  # of rows in the terminal, where none is longer
AddParts = Callable[[Path], Sequence[Part]]


def no_parts(folder: Path) -> Sequence[Part]:
    """Adds nothing to a report."""
    return ()


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
        num_most_wrong: examples shown.
        coverage: wanted of intervals around numbers.
        num_prompts: that a decoder answers.
        most_tokens: of an answer.
    """

    num_most_wrong: int
    coverage: float
    num_prompts: int = 0
    most_tokens: int = 1


@dataclass(frozen=True)
class Shown:
    """Examples as the rows to beat see them.

    Attributes:
        features: of the frozen backbone [N, D].
        read: gives the examples themselves, uint8 [N, S, S, 3] or objects [N] of text.
        speaker: the model as it came, where it is a decoder, of which no features are taken.
        maps: gives what the head takes of them, computed anew; of masks and boxes.
    """

    features: Tensor
    read: Callable[[], np.ndarray]
    speaker: Speaker | None = field(default=None, kw_only=True)
    maps: Callable[[], Maps] | None = field(default=None, kw_only=True)


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
        examples: what examples are called, as in :class:`sftcore.tasks.contract.Task`.
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

    examples: ClassVar[str] = "pictures"
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
            f"| on {metrics['test'][f'num_{cls.examples}']} test {cls.examples} | {cls.words} | "
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
        confidence, rows = metrics["interval"]["confidence"], cls._headlines(metrics)
        width = max(_TITLE_WIDTH, *(len(title) for title, *_ in rows))
        return [
            f"{cls.words} on {metrics['test'][f'num_{cls.examples}']} test {cls.examples}, "
            f"{confidence:.0%} interval",
            *(
                f"  {title:<{width}} {value:.3f} [{low:.3f}, {high:.3f}]"
                for title, value, low, high in rows
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
        count = metrics["test"][f"num_{cls.examples}"]
        return f"Test {cls.words} {value:.3f} [{low:.3f}, {high:.3f}], {count} {cls.examples}."

    @classmethod
    def worth_on_test(cls, metrics: Mapping[str, Any]) -> str:
        """What stands in for the answer of a study that was left out: one model on one split."""
        value, low, high = (
            _read(metrics["worth"][f"test_{cls.number}{end}"]) for end in ("", "_low", "_high")
        )
        return (
            f"Over {cls.probe.replace('_', ' ')} on its features, on test: {cls.words} "
            f"{difference(value, low, high)}."
        )

    @classmethod
    def _headlines(cls, metrics: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
        """Title, value and interval of the model and of the rows to beat."""
        rows = [("fine-tuned", metrics["test"], cls.number)]
        rows += [
            (title_of(name), row, f"test_{cls.number}")
            for name, row in metrics.get("baselines", {}).items()
        ]
        return [
            (title, _read(row[name]), _read(row[f"{name}_low"]), _read(row[f"{name}_high"]))
            for title, row, name in rows
        ]


def _read(value: float | None) -> float:
    """A number of ``metrics.json``, where what has no value is null."""
    return float("nan") if value is None else float(value)
