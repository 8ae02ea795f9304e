"""Boxes of objects, in the report of the data.

Boxes of the test split stay shut: those of train and validation alone are described.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sftcore.inspection.annotated import CLASS, CROWD, boxes_of
from sftcore.inspection.overview import cells, count_lines, count_table, padded
from sftcore.inspection.targets.classes import SPLIT_HEADINGS
from sftcore.inspection.targets.contract import Prepared, Selection
from sftcore.inspection.targets.masks import OPEN_SPLITS, select_shown

# Pixels: a small object's area is at most the square of it (Lin et al., 2014, Microsoft COCO; the
# bounds of its evaluation).
SMALL_SIDE = 32


class BoxReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = "boxes"
    column, heading = "labels", "classes"
    score = "average precision"
    right = ""

    def begin(self, data: Prepared) -> str:
        """Pictures, classes and boxes, crowds, and pictures without any."""
        by_picture = [of for split in OPEN_SPLITS for of in _boxes(data, split)]
        is_crowd = [of[:, CROWD] > 0 for of in by_picture]
        num_crowds = int(sum(of.sum() for of in is_crowd))
        num_boxes = sum(map(len, by_picture)) - num_crowds
        num_empty = sum(not len(of) for of in by_picture)
        crowds = (
            f" Of crowds, which are neither learnt nor measured as objects: {num_crowds:,}."
            if num_crowds
            else ""
        )
        return (
            f"{data.num_examples:,} {data.names.plural} with boxes of "
            f"{data.summary['num_labels']:,} classes. Boxes of train and validation: "
            f"{num_boxes:,}.{crowds} Pictures of train and validation without any: {num_empty:,}."
        )

    def table(self, data: Prepared) -> pd.DataFrame:
        """Pictures that show every class by split; number and size of its boxes."""
        table = count_table(data.summary["labels"], "class")
        place = {name: index for index, name in enumerate(data.store.names)}
        of_split = {split: _objects(data, split) for split in OPEN_SPLITS}
        for split, boxes in of_split.items():
            counts = np.bincount(boxes[:, CLASS].astype(np.int64), minlength=len(place))
            table[f"{split}_boxes"] = [int(counts[place[name]]) for name in table["class"]]
        boxes = np.concatenate(list(of_split.values()))
        measured = [
            _sizes(boxes[boxes[:, CLASS] == place[name], :CLASS]) for name in table["class"]
        ]
        table["median_side"] = [side for side, _ in measured]
        table["small"] = [small for _, small in measured]
        return table

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """The rarest class is first."""
        side = data.store.image_size
        caption = (
            f"{data.names.plural.capitalize()} that show each class, the rarest first; one with "
            "several counts for each of them. Boxes are those of train and validation without "
            "crowds; those of the test split stay shut. Side: the median of the square roots of "
            f"their areas, in pixels of the square of {side} by {side} that a picture lies in. "
            f"Small: the part of them whose area there is at most {SMALL_SIDE}² pixels."
        )
        headings = {
            "train_boxes": "boxes of train",
            "val_boxes": "boxes of validation",
            "median_side": "side",
            "small": "small",
        }
        return caption, {"class": "class", **SPLIT_HEADINGS, **headings}

    def lines(self, data: Prepared) -> list[str]:
        """Pictures that show the classes by split, and boxes."""
        table = count_table(data.summary["labels"], "class")
        total = f"all {data.names.plural}"
        return [
            *count_lines(table, data.summary["splits"], data.names, "classes", total),
            padded("boxes") + cells([len(_objects(data, split)) for split in OPEN_SPLITS]),
        ]

    def select(self, data: Prepared, per_row: int) -> Selection:
        """A row of every class; a picture with several may stand in several."""
        return select_shown(data, per_row)

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The classes in alphabetical order."""
        return ", ".join(json.loads(sample["labels"])) or "no class"


def _boxes(data: Prepared, split: str) -> list[np.ndarray]:
    """Boxes of each picture of a split, crowds among them."""
    return [boxes_of(data.store, int(row)) for row in data.store.split(split)]


def _objects(data: Prepared, split: str) -> np.ndarray:
    """All boxes of a split without crowds, float32 [n, 6]."""
    boxes = np.concatenate([np.zeros((0, CROWD + 1), np.float32), *_boxes(data, split)])
    return boxes[boxes[:, CROWD] == 0]


def _sizes(corners: np.ndarray) -> tuple[float, float]:
    """The median of the square roots of areas, one of them, and the part of small ones."""
    if not len(corners):
        return np.nan, np.nan
    sides = corners[:, 2:].astype(np.float64) - corners[:, :2]
    areas = np.prod(sides, axis=1)
    median = float(np.quantile(np.sqrt(areas), 0.5, method="inverted_cdf"))
    return median, float((areas <= SMALL_SIDE**2).mean())
