"""Test pictures with the boxes that are true beside those that are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from sftcore.metrics.detection_errors import IGNORED, RIGHT
from sftcore.metrics.detection_matching import ranked_detections
from sftcore.reporting.drawing import drawable
from sftcore.reporting.overlays import Colour, with_boxes
from sftcore.tasks.detection.measured import OnSplit
from sftcore.tasks.detection.tables import found_truths

_PER_PLACE = 2  # pictures of the worst, of the median and of the best
_SIDE = 384  # pixels that a picture is enlarged to, about
_LINE, _GAP, _FONT_SIZE = 22, 8, 13  # pixels
_NUM_COLOURS = 256  # a palette makes the file a third
_ID_LENGTH = 38  # characters
_INK = (20, 20, 20)
_TRUE: Colour = (0, 114, 178)
_RIGHT: Colour = (0, 158, 115)
_WRONG: Colour = (213, 94, 0)
_FREE: Colour = (119, 119, 119)
_LEGEND: tuple[tuple[str, Colour, bool], ...] = (
    ("true", _TRUE, False),
    ("given, right at IoU .5", _RIGHT, False),
    ("given and wrong", _WRONG, False),
    ("true and missed", _TRUE, True),
    ("crowd, or in it: not counted", _FREE, True),
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


def pictures_figure(
    chosen: pd.DataFrame,
    images: np.ndarray,
    ids: Sequence[str],
    of: OnSplit,
    names: Sequence[str],
) -> bytes:
    """Of each picture the boxes that are true, and beside them what is given, as PNG bytes.

    Args:
        chosen: of :func:`choose_pictures`.
        images: of the split, uint8 [N, S, S, 3].
        ids: of the pictures.
        of: the model on the split.
        names: of the classes.
    """
    number_of, is_found = {name: number for number, name in enumerate(ids)}, found_truths(of)
    times = max(1, round(_SIDE / images.shape[1]))
    side = times * images.shape[1]
    height = _LINE + len(chosen) * (side + _LINE + _GAP) + 2 * _LINE
    sheet = Image.new("RGB", (2 * side + _GAP, height), "white")
    canvas, font = ImageDraw.Draw(sheet), ImageFont.truetype(findfont("DejaVu Sans"), _FONT_SIZE)
    canvas.text((2, 3), "true boxes", fill=_INK, font=font)
    canvas.text((side + _GAP, 3), "given boxes with their scores", fill=_INK, font=font)
    top = _LINE
    for row in chosen.itertuples():
        number = number_of[row.id]
        words = f"{row.right} right, {row.false} wrong, {row.missed} missed: F1 {row.f1:.2f}"
        titles = f"{row.place}: {_shortened(row.id)}", words
        panels = _truths(of, number, names), _given(of, number, names, is_found)
        for left, title, drawn in zip((0, side + _GAP), titles, panels, strict=True):
            canvas.text((left + 2, top + 3), title, fill=_INK, font=font)
            panel = Image.fromarray(_enlarged(images[number], times, drawn))
            sheet.paste(panel, (left, top + _LINE))
        top += side + _LINE + _GAP
    _draw_legend(canvas, top, sheet.width, font)
    file = BytesIO()
    sheet.quantize(_NUM_COLOURS, method=Image.Quantize.MEDIANCUT).save(file, format="PNG")
    return file.getvalue()


def _draw_legend(
    canvas: ImageDraw.ImageDraw, top: int, width: int, font: ImageFont.FreeTypeFont
) -> None:
    """What the colours mean, in two lines."""
    for number, (label, colour, is_dashed) in enumerate(_LEGEND):
        left, y = number % 3 * width // 3 + 2, top + number // 3 * _LINE
        for start in (0, 10, 20):
            end = start + (6 if is_dashed else 10)
            canvas.line([(left + start, y + 10), (left + end, y + 10)], fill=colour, width=2)
        canvas.text((left + 36, y + 3), label, fill=_INK, font=font)


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


def _enlarged(image: np.ndarray, times: int, drawn: _Drawn) -> np.ndarray:
    """The picture in a whole multiple of its size, so that labels on it can be read."""
    large = image.repeat(times, axis=0).repeat(times, axis=1)
    return with_boxes(large, drawn.boxes * times, drawn.colours, drawn.labels, drawn.is_dashed)


def _shortened(name: str) -> str:
    """The end of a picture's name, which tells it from others."""
    text = drawable(name)
    return text if len(text) <= _ID_LENGTH else f"…{text[1 - _ID_LENGTH :]}"
