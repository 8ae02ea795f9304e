"""Test pictures with the boxes that are true beside those that are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from PIL import Image

from sftcore.metrics.detection_errors import IGNORED, RIGHT
from sftcore.metrics.detection_matching import ranked_detections
from sftcore.reporting.drawing import new_figure, own_style, plain_label, to_png
from sftcore.reporting.overlays import Colour, with_boxes
from sftcore.tasks.detection.measured import OnSplit
from sftcore.tasks.detection.tables import found_truths

_PER_PLACE = 2  # pictures of the worst, of the median and of the best
_SIDE = 384  # pixels that a picture is enlarged to, about
_PANEL = 3.7  # inches
_TRUE: Colour = (0, 114, 178)
_RIGHT: Colour = (0, 158, 115)
_WRONG: Colour = (213, 94, 0)
_FREE: Colour = (119, 119, 119)
_LEGEND: tuple[tuple[str, Colour, Literal["solid", "dashed"]], ...] = (
    ("true", _TRUE, "solid"),
    ("given and right at IoU .5", _RIGHT, "solid"),
    ("given and wrong", _WRONG, "solid"),
    ("true and missed", _TRUE, "dashed"),
    ("a crowd, or given in a crowd: not counted", _FREE, "dashed"),
)


@dataclass(frozen=True)
class _Drawn:
    """Boxes of one picture, those on top first.

    Attributes:
        boxes: left, top, right, bottom in pixels [n, 4].
        colours: of each.
        labels: of each.
        is_dashed: of each.
    """

    boxes: np.ndarray
    colours: Sequence[Colour]
    labels: Sequence[str]
    is_dashed: Sequence[bool]


def choose_pictures(predictions: pd.DataFrame) -> pd.DataFrame:
    """Test pictures with the least, a middle and the greatest F1.

    Of equal F1, pictures with more that is wrong count as worse, and such with fewer true boxes.

    Args:
        predictions: of :func:`sftcore.tasks.detection.tables.pictures_table`.

    Returns:
        Columns place (worst, median, best), id, true, given, right, missed, false, f1.
    """
    test = predictions[(predictions["split"] == "test") & predictions["f1"].notna()]
    ranked = test.assign(wrong=-test["missed"] - test["false"])
    ranked = ranked.sort_values(["f1", "wrong", "true", "id"]).reset_index(drop=True)
    count = len(ranked)
    middle = max(0, (count - _PER_PLACE) // 2)
    starts = {"worst": 0, "best": max(0, count - _PER_PLACE), "median": middle}
    place = pd.Series(None, index=ranked.index, dtype=object)
    for name, start in starts.items():
        free = place.iloc[start : start + _PER_PLACE].isna()
        place[free[free].index] = name
    shown = ranked.assign(place=place)[place.notna()]
    return shown[["place", "id", "true", "given", "right", "missed", "false", "f1"]]


@own_style()
def pictures_figure(
    chosen: pd.DataFrame,
    images: np.ndarray,
    ids: Sequence[str],
    of: OnSplit,
    names: Sequence[str],
) -> bytes:
    """Of each picture the boxes that are true, and beside them what is given.

    Args:
        chosen: of :func:`choose_pictures`.
        images: of the split, uint8 [N, S, S, 3].
        ids: of the pictures.
        of: the model on the split.
        names: of the classes.
    """
    rows, number_of = max(1, len(chosen)), {name: number for number, name in enumerate(ids)}
    figure, axes = new_figure(2 * _PANEL + 0.2, (_PANEL + 0.4) * rows + 1.2, rows, 2)
    for axis in axes.flat:
        axis.axis("off")
    is_found = found_truths(of)
    for row, pair in zip(chosen.itertuples(), axes, strict=False):
        number = number_of[row.id]
        words = f"{row.right} right, {row.false} wrong, {row.missed} missed: F1 {row.f1:.2f}"
        titles = f"{row.place}: {plain_label(row.id)}", words
        panels = _truths(of, number, names), _given(of, number, names, is_found)
        for axis, title, drawn in zip(pair, titles, panels, strict=True):
            axis.imshow(_enlarged(images[number], drawn))
            axis.set_title(title, fontsize=10)
    marks = [
        Line2D(
            [], [], color=to_hex(np.divide(colour, 255)), linestyle=style, linewidth=2, label=label
        )  # fmt: skip
        for label, colour, style in _LEGEND
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle("Test pictures: the true boxes, and beside them\nwhat is given, with its score")
    return _with_palette(to_png(figure))


def _truths(of: OnSplit, number: int, names: Sequence[str]) -> _Drawn:
    rows = np.flatnonzero(of.truths.picture == number)
    is_crowd = of.truths.is_crowd[rows]
    return _Drawn(
        of.truths.box[rows],
        [_FREE if crowd else _TRUE for crowd in is_crowd],
        [names[label] for label in of.truths.label[rows]],
        is_crowd.tolist(),
    )


def _given(of: OnSplit, number: int, names: Sequence[str], is_found: np.ndarray) -> _Drawn:
    """What is given, the surest on top, and below it what is missed."""
    kept, _ = ranked_detections(of.shown)
    rows = np.flatnonzero(kept.picture == number)
    rows = rows[np.argsort(-kept.score[rows], kind="stable")]
    is_missed = (of.truths.picture == number) & ~is_found & ~of.truths.is_free
    missed = np.flatnonzero(is_missed)
    kinds = of.shown_errors.kind[rows]
    colours = {RIGHT: _RIGHT, IGNORED: _FREE}
    return _Drawn(
        np.concatenate([kept.box[rows], of.truths.box[missed]]),
        [colours.get(int(kind), _WRONG) for kind in kinds] + [_TRUE] * len(missed),
        [f"{names[kept.label[row]]} {kept.score[row]:.2f}" for row in rows]
        + [names[label] for label in of.truths.label[missed]],
        [kind == IGNORED for kind in kinds] + [True] * len(missed),
    )


def _enlarged(image: np.ndarray, drawn: _Drawn) -> np.ndarray:
    """The picture in whole multiples of its size, with boxes whose labels can be read."""
    times = max(1, round(_SIDE / len(image)))
    large = image.repeat(times, axis=0).repeat(times, axis=1)
    return with_boxes(large, drawn.boxes * times, drawn.colours, drawn.labels, drawn.is_dashed)


def _with_palette(png: bytes) -> bytes:
    """The same in 256 colours, a third of the size."""
    file = BytesIO()
    with Image.open(BytesIO(png)) as image:
        image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT).save(file, "PNG")
    return file.getvalue()
