"""Texts with the words that mattered, as PNG bytes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle

from sftcore.reporting.drawing import (
    BLUE,
    ORANGE,
    drawable,
    new_figure,
    own_style,
    to_png,
)
from sftcore.tasks.finished import Span

_FONT, _SIZE = "DejaVu Sans", 9  # in points
_WIDTH, _MARGIN = 620.0, 12.0  # of the figure, in points
_LINE, _GAP = 15.0, 12.0  # from line to line, and between texts, in points
_SPACE = 4.0
_MOST_LINES = 4  # of a text
_LONGEST = 60  # characters of a word
_STRONGEST = 0.75  # opacity behind the word with most weight


@dataclass(frozen=True)
class Marked:
    """A text with the weights of its words.

    Attributes:
        heading: above it.
        text: itself.
        spans: of its words, in their order; without any the text is shown unmarked.
    """

    heading: str
    text: str
    spans: Sequence[Span]


@dataclass(frozen=True)
class _Word:
    shown: str
    share: float  # of the greatest weight of the text, with its sign
    has_space: bool  # before it


Line = list[tuple[float, float, _Word]]  # from where to where a word is drawn, in points


@own_style()
def words_figure(texts: Sequence[Marked], title: str, legend: str) -> bytes:
    """Texts whose words are marked by their weights, each relative to the greatest of its text.

    Words of positive weight stand on orange, those of negative weight on blue. A character that the
    font lacks is a question mark; scripts that are written from the right are not turned round.

    Args:
        texts: at least one.
        title: of the figure.
        legend: what the colours mean.
    """
    figure, axes = new_figure(1, 1)
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family=_FONT, size=_SIZE)

    def width_of(word: str) -> float:
        return renderer.get_text_width_height_descent(word, font, False)[0] * 72 / figure.dpi

    laid = [_lines(list(_words(text)), width_of) for text in texts]
    height = 3 * _LINE + sum((1 + len(lines)) * _LINE + _GAP for lines in laid)
    figure.set_size_inches(_WIDTH / 72, height / 72)
    figure.set_layout_engine("none")
    axis = axes[0, 0]
    axis.set_position([0, 0, 1, 1])
    axis.set(xlim=(0, _WIDTH), ylim=(height, 0))
    axis.axis("off")
    top = 1.4 * _LINE
    _write(axis, _MARGIN, top, title, fontsize=11)
    top += 1.2 * _LINE
    _write(axis, _MARGIN, top, legend, fontsize=8, color="#555555")
    for text, lines in zip(texts, laid, strict=True):
        top += _LINE + _GAP
        _write(axis, _MARGIN, top, text.heading, fontweight="bold")
        for line in lines:
            top += _LINE
            _draw(axis, top, line)
    return to_png(figure)


def _words(text: Marked) -> Iterator[_Word]:
    """The words of a text up to the last that was seen; all of them where none was."""
    greatest = max((abs(span.weight) for span in text.spans), default=0.0) or 1.0
    end = 0
    for span in text.spans:
        between = text.text[end : span.start]
        yield from _plain(between)
        if span.end > span.start:
            is_first = span.start == 0 or text.text[span.start - 1].isspace()
            yield _Word(_short(text.text[span.start : span.end]), span.weight / greatest, is_first)
        end = max(end, span.end)
    if rest := text.text[end:].strip():
        yield from [_Word("…", 0.0, True)] if text.spans else _plain(rest)


def _plain(text: str) -> Iterator[_Word]:
    return (_Word(_short(word), 0.0, True) for word in text.split())


def _short(word: str) -> str:
    one_line = drawable(" ".join(word.split()))
    return one_line if len(one_line) <= _LONGEST else f"{one_line[: _LONGEST - 1]}…"


def _lines(words: Sequence[_Word], width_of: Callable[[str], float]) -> list[Line]:
    """Words in lines that fit; of a long text the first ones, with a mark that there are more.

    Args:
        words: of one text.
        width_of: a word as it is drawn, in points.
    """
    lines: list[Line] = [[]]
    right = _MARGIN
    for word in words:
        left = right + (_SPACE if word.has_space and lines[-1] else 0.0)
        right = left + width_of(word.shown)
        if right > _WIDTH - 2 * _MARGIN and lines[-1]:
            if len(lines) == _MOST_LINES:
                lines[-1].append((left, left + _SPACE, _Word(" …", 0.0, True)))
                break
            lines.append([])
            left, right = _MARGIN, _MARGIN + width_of(word.shown)
        lines[-1].append((left, right, word))
    return lines


def _draw(axis: Any, base: float, line: Line) -> None:
    for left, right, word in line:
        if word.share:
            colour = ORANGE if word.share > 0 else BLUE
            axis.add_patch(
                Rectangle(
                    (left - 1, base - 0.72 * _LINE), right - left + 2, 0.95 * _LINE,
                    color=colour, alpha=_STRONGEST * abs(word.share), linewidth=0,
                )
            )  # fmt: skip
        _write(axis, left, base, word.shown)


def _write(axis: Any, left: float, base: float, text: str, **style: Any) -> None:
    options = {"fontsize": _SIZE, "family": _FONT, "parse_math": False} | style
    axis.text(left, base, text, ha="left", va="baseline", **options)
