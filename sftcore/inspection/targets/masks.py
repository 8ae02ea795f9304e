"""The class of each pixel, in the report of the data.

Masks of the test split stay shut: pixels are counted in train and validation alone.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.pictures.annotated import BACKGROUND
from sftcore.foundations.masks import IGNORED
from sftcore.inspection.annotated import PER_ROW, background_of, mask_counts
from sftcore.inspection.overview import cells, count_lines, count_table, padded
from sftcore.inspection.targets.classes import SPLIT_HEADINGS, select_of_each
from sftcore.inspection.targets.contract import Prepared, Selection

OPEN_SPLITS = ("train", "val")


class MaskReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = "masks"
    column, heading = "labels", "classes"
    score = "mean IoU"
    right = ""

    def begin(self, data: Prepared) -> str:
        """Pictures and classes, ignored pixels, and pictures that show nothing."""
        counts = np.concatenate([_counts(data, split) for split in OPEN_SPLITS])
        ignored, total = int(counts[:, IGNORED].sum()), int(counts.sum())
        ground = background_of(data.store.names)
        things = np.delete(counts, [IGNORED, *([] if ground is None else [ground])], axis=1)
        num_empty = int((things.sum(axis=1) == 0).sum())
        nothing = "no labelled pixel" if ground is None else f"no pixel of a class but {BACKGROUND}"
        return (
            f"{data.num_examples:,} {data.names.plural} with masks of "
            f"{data.summary['num_labels']:,} classes. Of the pixels of train and validation "
            f"{percent(ignored, total)} are ignored: not labelled, or around oblong pictures. "
            f"Pictures of train and validation with {nothing}: {num_empty:,}."
        )

    def table(self, data: Prepared) -> pd.DataFrame:
        """Pictures that show every class by split, and its part of the labelled pixels."""
        table = count_table(data.summary["labels"], "class")
        for split in OPEN_SPLITS:
            of_class = _counts(data, split).sum(axis=0)[: len(data.store.names)]
            total = int(of_class.sum())
            share = {
                name: count / total if total else np.nan
                for name, count in zip(data.store.names, of_class.tolist(), strict=True)
            }
            table[f"{split}_pixels"] = table["class"].map(share)
        return table

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """The rarest class is first."""
        caption = (
            f"{data.names.plural.capitalize()} that show each class, the rarest first; one with "
            "several counts for each of them. Pixels: the part of the labelled pixels of train and "
            "of validation; masks of the test split stay shut."
        )
        headings = {"train_pixels": "pixels of train", "val_pixels": "pixels of validation"}
        return caption, {"class": "class", **SPLIT_HEADINGS, **headings}

    def lines(self, data: Prepared) -> list[str]:
        """Pictures that show the classes by split, and ignored pixels."""
        table = count_table(data.summary["labels"], "class")
        total = f"all {data.names.plural}"
        counts = [_counts(data, split) for split in OPEN_SPLITS]
        ignored = [percent(int(of[:, IGNORED].sum()), int(of.sum())) for of in counts]
        return [
            *count_lines(table, data.summary["splits"], data.names, "classes", total),
            padded("ignored pixels") + cells(ignored),
        ]

    def select(self, data: Prepared, per_row: int) -> Selection:
        """A row of every class; a picture with several may stand in several."""
        return select_shown(data, per_row)

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The classes in alphabetical order, without the background where there are others."""
        names = json.loads(sample["labels"])
        shown = [name for name in names if name != BACKGROUND]
        return ", ".join(shown or names) or "no class"


def select_shown(data: Prepared, per_row: int) -> Selection:
    """A row of pictures for every class that they show, others in each row where there are some.

    Args:
        data: whose samples list their classes in the column ``labels``.
        per_row: at most so many pictures of each.
    """
    samples, num = data.store.samples, min(per_row, PER_ROW)
    of_each = samples.assign(label=samples["labels"].map(json.loads)).explode("label")
    of_each = of_each.dropna(subset=["label"])
    of_each["sha256"] += of_each["label"]  # or a picture of many classes would lead all of them
    by = "the hash of their content and of the class"
    return select_of_each(data, of_each, num, "class", "classes", by)


def percent(part: int, whole: int) -> str:
    """A part of a whole in percent, which is not 0 unless the part is."""
    if not whole:
        return "none"
    return "<0.01%" if 0 < 10_000 * part < whole else f"{part / whole:.2%}"


def _counts(data: Prepared, split: str) -> np.ndarray:
    """Pixels of each value by picture of a split, int64 [n, 256]."""
    rows = data.store.split(split)
    found = np.zeros((len(rows), IGNORED + 1), dtype=np.int64)
    for place, row in enumerate(rows):
        found[place] = mask_counts(data.store, int(row))
    return found
