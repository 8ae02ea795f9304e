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

BACKGROUND = "background"  # a class of this name is left as the picture is
_PER_ROW = 2  # pictures, each with its two masks
_SIDE, _TITLES, _LEGEND = 1.7, 0.42, 0.75  # inches


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

    Args:
        pictures: at least one.
        names: of the classes, K.
        title: of the figure.
    """
    rows = -(-len(pictures) // _PER_ROW)
    height = rows * (_SIDE + _TITLES) + _LEGEND
    figure, axes = new_figure(3 * _PER_ROW * _SIDE, height, rows, 3 * _PER_ROW)
    colours = class_colours(names)
    background = list(names).index(BACKGROUND) if BACKGROUND in names else None
    for axis in axes.flat:
        axis.axis("off")
    present: set[int] = set()
    for number, of in enumerate(pictures):
        row, place = divmod(number, _PER_ROW)
        predicted = np.where(of.true == IGNORED, IGNORED, of.predicted).astype(np.uint8)
        panels = (
            of.image,
            with_mask(of.image, of.true, colours, background),
            with_mask(of.image, predicted, colours, background),
        )
        for axis, panel, words in zip(axes[row, 3 * place :], panels, of.titles, strict=False):
            axis.imshow(panel)
            axis.set_title(words, fontsize=8)
        present |= set(np.unique(of.true).tolist()) | set(np.unique(predicted).tolist())
    figure.suptitle(title)
    _legend(figure, present, names, colours, background)
    return to_png(figure)


def _legend(
    figure: Figure,
    present: set[int],
    names: Sequence[str],
    colours: Sequence[Colour],
    background: int | None,
) -> None:
    """Below the pictures, the colour of each class that they show."""
    handles: list[Any] = []
    for k in sorted(present - {IGNORED}):
        red, green, blue = colours[k]
        face = "none" if k == background else (red / 255, green / 255, blue / 255)
        words = plain_label(names[k]) + (" (as the picture is)" if k == background else "")
        handles.append(Patch(facecolor=face, edgecolor="#555555", label=words))
    if IGNORED in present:
        handles.append(
            Patch(
                facecolor="white", edgecolor="#555555", hatch="////", label="no label: not judged"
            )
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
