"""Test pictures with the boxes that are true beside those that are given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

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
_LEGEND = (
    ("true", _TRUE, "-"),
    ("given and right at IoU .5", _RIGHT, "-"),
    ("given and wrong", _WRONG, "-"),
    ("true and missed", _TRUE, "--"),
    ("a crowd, or given in a crowd: not counted", _FREE, "--"),
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
    rows, number_of = max(1, -(-len(chosen) // _PER_PLACE)), {id: n for n, id in enumerate(ids)}
    columns = 2 * _PER_PLACE
    figure, axes = new_figure(_PANEL * columns, (_PANEL + 0.4) * rows + 0.8, rows, columns)
    for axis in axes.flat:
        axis.axis("off")
    is_found = found_truths(of)
    for row, pair in zip(chosen.itertuples(), axes.reshape(-1, 2), strict=False):
        number = number_of[row.id]
        words = f"{row.right} right, {row.false} wrong, {row.missed} missed: F1 {row.f1:.2f}"
        titles = f"{row.place}: {plain_label(row.id)}", words
        panels = _truths(of, number, names), _given(of, number, names, is_found)
        for axis, title, drawn in zip(pair, titles, panels, strict=True):
            axis.imshow(_enlarged(images[number], drawn), interpolation="lanczos")
            axis.set_title(title, fontsize=10)
    marks = [
        Line2D([], [], color=np.divide(colour, 255), linestyle=style, linewidth=2, label=label)
        for label, colour, style in _LEGEND
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    figure.suptitle("Test pictures: the true boxes, and beside them what is given with its score")
    return to_png(figure)


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
