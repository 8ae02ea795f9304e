"""What all figures share: a canvas, colours, and PNG bytes that are the same on every run."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

# Okabe and Ito's palette, told apart by colour-blind readers.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"
SPLIT_COLOURS = {"train": BLUE, "val": ORANGE, "test": GREEN}
_LABEL_LENGTH = 22
_DPI = 110


@contextmanager
def own_style() -> Iterator[None]:
    """Draw by matplotlib's defaults and not by the matplotlibrc of whoever runs it.

    Usable as a decorator; a figure must be made and saved inside it to be the same everywhere.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, *, share: bool = False
) -> tuple[Figure, Any]:
    """A figure of a size in inches and its axes, without pyplot's global state.

    With ``share`` all axes have the same limits.
    """
    figure = Figure(figsize=(width, height), layout="constrained", dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def note(figure: Figure, text: str) -> None:
    """A line below the figure: what its marks mean, and what its intervals cover."""
    figure.supxlabel(text, fontsize=8, color="#555555")


def to_png(figure: Figure) -> bytes:
    """PNG bytes without the names and versions that matplotlib would put into them.

    They are those of ``savefig``, which draws all of it once more to lay it out; laying it out
    takes half of the time as it is.

    Args:
        figure: of :func:`new_figure`; it is as it was laid out from now on.
    """
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


def plain_label(name: str) -> str:
    """A name that can stand beside an axis: shortened, drawable, never read as mathematics."""
    text = drawable(name)
    cut = text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"
    return cut.replace("$", r"\$")


def drawable(name: str) -> str:
    """A name with a question mark for every character that cannot be drawn."""
    composed = unicodedata.normalize("NFC", name)  # some systems store é as e and an accent
    return "".join(c if c.isprintable() and ord(c) in _glyphs() else "?" for c in composed)


@cache
def _glyphs() -> frozenset[int]:
    """Code points of the font that matplotlib brings along."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
