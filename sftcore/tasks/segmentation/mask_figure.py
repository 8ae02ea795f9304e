"""Pictures with the masks that are true and those that are predicted, as PNG bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sftcore.foundations.masks import IGNORED
from sftcore.reporting.drawing import new_figure, own_style, plain_label, to_png
from sftcore.reporting.overlays import Colour, class_colours, with_mask

BACKGROUND = "background"  # a class of this name has no colour
_PER_ROW = 2  # pictures, each with its two masks
_SIDE, _TITLES, _LINE = 1.7, 0.42, 0.19  # inches
_LEGEND_COLUMNS = 5


@dataclass(frozen=True)
class Masked:
    """A picture with two masks.

    Attributes:
        image: uint8 [S, S, 3].
        true: class of each pixel [S, S]; 255 is ignored.
        predicted: [S, S]; what is ignored in ``true`` is not shown here either.
        titles: above picture, true mask and predicted mask; drawable.
    """

    image: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    titles: tuple[str, str, str]


@own_style()
def masks_figure(pictures: Sequence[Masked], names: Sequence[str], title: str) -> bytes:
    """Picture, truth and prediction side by side, two pictures in a row, with the classes' colours.

    Masks lie on the picture without its colours, which would mix with theirs.

    Args:
        pictures: at least one.
        names: of the classes, K.
        title: of the figure.
    """
    judged = [np.where(of.true == IGNORED, IGNORED, of.predicted) for of in pictures]
    masks = [*(of.true for of in pictures), *judged]
    present = sorted(set().union(*(np.unique(mask).tolist() for mask in masks)))
    rows = -(-len(pictures) // _PER_ROW)
    height = rows * (_SIDE + _TITLES) + 0.35 + _LINE * -(-len(present) // _LEGEND_COLUMNS)
    figure, axes = new_figure(3 * _PER_ROW * _SIDE, height, rows, 3 * _PER_ROW)
    colours = class_colours(names)
    background = list(names).index(BACKGROUND) if BACKGROUND in names else None
    for axis in axes.flat:
        axis.axis("off")
    for number, (of, predicted) in enumerate(zip(pictures, judged, strict=True)):
        row, place = divmod(number, _PER_ROW)
        ground = _grey(of.image)
        panels = (
            of.image,
            with_mask(ground, of.true, colours, background),
            with_mask(ground, predicted, colours, background),
        )
        for axis, panel, words in zip(axes[row, 3 * place :], panels, of.titles, strict=False):
            axis.imshow(panel)
            axis.set_title(words, fontsize=8)
    figure.suptitle(title)
    _legend(figure, present, names, colours, background)
    return to_png(figure)


def _grey(image: np.ndarray) -> np.ndarray:
    """The same brightness in three equal channels, a little darker than white, uint8 [S, S, 3]."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    return np.rint(0.85 * luma)[:, :, None].repeat(3, axis=2).astype(np.uint8)


def _legend(
    figure: Figure,
    present: Sequence[int],
    names: Sequence[str],
    colours: Sequence[Colour],
    background: int | None,
) -> None:
    """Below the pictures, the colour of each class that they show."""
    handles: list[Any] = []
    for k in (k for k in present if k != IGNORED):
        red, green, blue = colours[k]
        face = "none" if k == background else (red / 255, green / 255, blue / 255)
        words = plain_label(names[k]) + (" (no colour)" if k == background else "")
        handles.append(Patch(facecolor=face, edgecolor="#555555", label=words))
    if IGNORED in present:
        handles.append(
            Patch(
                facecolor="white", edgecolor="#555555", hatch="////", label="no label: not judged"
            )
        )
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=_LEGEND_COLUMNS,
        fontsize=8,
        frameon=False,
    )
