"""The boxes of a table of predictions as one file for other tools."""

import json
from collections.abc import Iterable, Sequence
from io import StringIO

import numpy as np
import pandas as pd

from sftcore.data.annotations import Annotated, Boxes, coco_instances


def coco_file(
    header: str, lines: Iterable[str], files: Sequence[str], classes: Sequence[str]
) -> bytes:
    """COCO's file of instances, each with its score.

    Its list ``annotations`` holds what COCO's results hold, by the ids of this file. Pictures that
    have no answer are left out.

    Args:
        header: of the table.
        lines: of the table, one for each picture.
        files: names of the pictures, in the same order.
        classes: K names, numbered from 1 in their order.
    """
    columns = ["width", "height", "boxes"]
    table = pd.read_csv(
        StringIO(header + "".join(lines)), usecols=columns, dtype=str, keep_default_na=False
    )
    pictures, scores = [], []
    rows = zip(files, *(table[name] for name in columns), strict=True)
    for file, width, height, said in rows:
        if not said:
            continue
        found = json.loads(said)
        boxes = Boxes(
            corners=np.array([of["box"] for of in found], dtype=float).reshape(-1, 4),
            names=tuple(of["class"] for of in found),
            is_crowd=np.zeros(len(found), dtype=bool),
            numbers=tuple(range(1, len(found) + 1)),
            outlines=(None,) * len(found),
        )
        pictures.append(Annotated(file, "", (int(width), int(height)), boxes))
        scores.append([of["score"] for of in found])
    return coco_instances(pictures, classes, scores)
