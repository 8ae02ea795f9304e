"""What a model of masks or boxes answers over HTTP or in a notebook: a row for each picture."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.annotations import index_mask
from sftcore.evaluation.predict import FineTuned, look_at
from sftcore.tasks.answers import Answers
from sftcore.tasks.names import LEARNT
from sftcore.use.found_boxes import find_boxes, nms_iou_of
from sftcore.use.found_masks import find_mask, present_classes
from sftcore.use.tiles import TiledAnswers, TiledPicture

Row = dict[str, Any]


def served_answers(
    model: FineTuned, answers: Answers, pictures: Sequence[TiledPicture]
) -> pd.DataFrame:
    """What is found on pictures, in their own pixels, as trained.

    Args:
        model: of masks or boxes.
        answers: what its outputs mean.
        pictures: at least one, each of one tile.

    Returns:
        Columns ``width`` and ``height`` of the picture. Of masks ``mask``, a PNG with a palette
        whose values are the numbers of the classes, in base64; ``classes`` that are present, a JSON
        list; and ``confidence``, the mean over the pixels. Of boxes ``num_boxes`` and ``boxes``, a
        JSON list of class, score and box (left, top, right, bottom), the most certain first.
    """
    squares = np.concatenate([of.squares for of in pictures])
    said = look_at(model.network, squares, model.sight, answers).answers
    row = _ROWS[LEARNT[model.record.task].target]
    names, facts = model.record.names, model.record.facts
    pairs = zip(said, pictures, strict=True)
    return pd.DataFrame(
        [
            {"width": of.tiling.width, "height": of.tiling.height}
            | row(TiledAnswers(own[None], of.tiling), names, facts)
            for own, of in pairs
        ]
    )


def _mask_row(said: TiledAnswers, names: Sequence[str], facts: Mapping[str, Any]) -> Row:
    found = find_mask(said)
    return {
        "mask": base64.b64encode(index_mask(found.mask)).decode(),
        "classes": json.dumps(present_classes(found, names), ensure_ascii=False),
        "confidence": found.confidence,
    }


def _box_row(said: TiledAnswers, names: Sequence[str], facts: Mapping[str, Any]) -> Row:
    found = find_boxes(said, nms_iou_of(facts))
    return {"num_boxes": len(found.scores), "boxes": found.as_json(names)}


_ROWS: Mapping[str, Callable[[TiledAnswers, Sequence[str], Mapping[str, Any]], Row]] = {
    "masks": _mask_row,
    "boxes": _box_row,
}
