"""What a finished model's outputs mean, by its task: all that a prediction needs of it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sftcore.foundations.errors import DataError, WeightsError
from sftcore.tasks.classification.loss import probabilities as class_probabilities
from sftcore.tasks.detection.answers import boxes_of_outputs
from sftcore.tasks.multilabel.loss import probabilities as label_probabilities
from sftcore.tasks.names import ANSWERS, BOXES, CLASSES, CLASSES_OF_TEXTS, LABELS, MASKS, NUMBERS
from sftcore.tasks.regression.targets import TargetScale

Answers = Callable[[Tensor], Tensor]


def answers_of(task: str, facts: Mapping[str, Any]) -> Answers:
    """The function from outputs [B, K] of the network to answers [B, K].

    Args:
        task: of the model's record.
        facts: of its record.

    Returns:
        Of classes their probabilities (softmax, float32), of labels likewise (sigmoid, float64), of
        numbers themselves in their units (float64). Sums over the answers of dialogues, which
        stand in place of outputs, are as they are (float64), and so are logits of pixels at the
        stride of the head (float32 [B, K, h, w]). Boxes are rows
        [B, D, 6] of four sides, score and class (float32); see
        :mod:`sftcore.tasks.detection.boxes`.

    Raises:
        WeightsError: the task is unknown, or the facts are damaged.
    """
    if task not in _ANSWERS:
        raise WeightsError(f"the model is of an unknown task {task!r}: {', '.join(_ANSWERS)}")
    try:
        return _ANSWERS[task](facts)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the model's record of its task is damaged ({error}): run `dvc repro finetune`"
        ) from error


def _numbers(facts: Mapping[str, Any]) -> Answers:
    scale = TargetScale.from_record(facts["scale"])

    def answers(output: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(values, dtype=torch.float64, device=output.device)
            for values in (scale.mean, scale.std)
        )
        return output.double() * std + mean

    return answers


def _as_they_are(output: Tensor) -> Tensor:
    return output


_ANSWERS: dict[str, Callable[[Mapping[str, Any]], Answers]] = {
    CLASSES: lambda facts: class_probabilities,
    CLASSES_OF_TEXTS: lambda facts: class_probabilities,
    LABELS: lambda facts: label_probabilities,
    NUMBERS: _numbers,
    ANSWERS: lambda facts: _as_they_are,
    MASKS: lambda facts: _as_they_are,
    BOXES: boxes_of_outputs,
}
