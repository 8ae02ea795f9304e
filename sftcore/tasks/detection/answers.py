"""From what the head gives at each point to the boxes of each picture."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sftcore.models.dense.decoding import decode
from sftcore.models.dense.points import grid_points
from sftcore.models.dense.settings import DecodingSettings
from sftcore.tasks.detection.boxes import padded


def boxes_of_outputs(facts: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """The function from outputs [B, P, K + 5] to answers [B, D, 6], float32.

    Args:
        facts: of a model's record: ``levels`` (rows and columns by stride), ``decoding`` (its
            settings) and ``side`` (of the square picture, in pixels).
    """
    decoding, side = DecodingSettings(**facts["decoding"]), int(facts["side"])
    sizes = {int(stride): (rows, columns) for stride, (rows, columns) in facts["levels"].items()}
    in_order = dict(sorted(sizes.items()))

    def answers(output: Tensor) -> Tensor:
        points = grid_points(in_order, output.device)
        return padded(decode(output, points, (side, side), decoding), decoding.max_detections)

    return answers
