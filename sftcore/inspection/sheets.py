"""Contact sheets: many small pictures in one PNG, a row each for what belongs together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sftcore.reporting.drawing import drawable

SHEET_WIDTH = 1000  # pixels
_MARGIN, _GAP = 6, 8
_FONT_SIZE = 12
_LINE_HEIGHT = 15
_NUM_COLOURS = 256  # a palette makes the file a third
_PAPER = (255, 255, 255)
_INK, _PALE, _RULE = (20, 20, 20), (100, 100, 100), (215, 215, 215)
_SWATCH, _LONGEST_NAME = 11, 160  # pixels of a legend
Colour = tuple[int, int, int]
Legend = Sequence[tuple[str, Colour]]  # names with their colours


@dataclass(frozen=True)
class Cell:
    """A picture with a few lines of text below it.

    Attributes:
        image: uint8 [S, S, 3].
        lines: are shortened to the width of the cell.
    """

    image: np.ndarray
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Pictures that belong together.

    Attributes:
        lines: stand left of them, the first one darker than the others.
        cells: as many as a sheet of the layout has columns are drawn; None leaves a place empty.
    """

    lines: tuple[str, ...]
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Layout:
    """Measures of a sheet in pixels.

    Attributes:
        title_width: of the text left of the pictures; 0 without any.
        cell_width: from one picture to the next.
        picture_size: side of a picture, at most the cell's width.
        num_lines: of text below each picture.
    """

    title_width: int
    cell_width: int
    picture_size: int
    num_lines: int

    @property
    def num_columns(self) -> int:
        """Pictures in a row."""
        return (SHEET_WIDTH - 2 * _MARGIN - self.title_width) // self.cell_width

    @property
    def row_height(self) -> int:
        """Of a row with its distance to the next one."""
        return self.picture_size + self.num_lines * _LINE_HEIGHT + _GAP


def wrap(cells: Sequence[Cell], layout: Layout) -> list[Row]:
    """Rows without text that hold all cells in their order."""
    step = layout.num_columns
    return [Row((), tuple(cells[i : i + step])) for i in range(0, len(cells), step)]


def pack(groups: Sequence[Sequence[Cell]], layout: Layout) -> list[Row]:
    """Rows without text that hold whole groups, in their order, an empty place between two.

    Args:
        groups: each with at most as many cells as the layout has columns.
        layout: measures.
    """
    rows: list[list[Cell | None]] = [[]]
    for group in groups:
        if rows[-1] and len(rows[-1]) + 1 + len(group) > layout.num_columns:
            rows.append([])
        rows[-1] += [None, *group] if rows[-1] else group
    return [Row((), tuple(row)) for row in rows if row]


def draw_sheet(rows: Sequence[Row], layout: Layout, legend: Legend = ()) -> bytes:
    """Draw rows of pictures.

    Args:
        rows: at least one.
        layout: measures.
        legend: stands above them.

    Returns:
        A PNG of :data:`SHEET_WIDTH` pixels with at most 256 colours and without metadata.
    """
    entries, above = _placed(legend)
    height = 2 * _MARGIN + above + len(rows) * layout.row_height - _GAP
    sheet = Image.new("RGB", (SHEET_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_legend(draw, entries)
    for number, row in enumerate(rows):
        top = _MARGIN + above + number * layout.row_height
        if number:
            draw.line((_MARGIN, top - _GAP // 2, SHEET_WIDTH - _MARGIN, top - _GAP // 2), _RULE)
        _write(draw, (_MARGIN, top), row.lines, layout.title_width - _GAP)
        for column, cell in enumerate(row.cells[: layout.num_columns]):
            if cell is None:
                continue
            left = _MARGIN + layout.title_width + column * layout.cell_width
            sheet.paste(_thumbnail(cell.image, layout.picture_size), (left, top))
            below = (left, top + layout.picture_size + 1)
            _write(draw, below, cell.lines[: layout.num_lines], layout.cell_width - _GAP)
    file = BytesIO()
    kept = [_PAPER, *(colour for _, colour in legend)] if legend else []
    _with_palette(sheet, kept).save(file, format="PNG", compress_level=9)
    return file.getvalue()


def _with_palette(sheet: Image.Image, kept: Sequence[Colour]) -> Image.Image:
    """The sheet in few colours, of which some are exactly as they are.

    Args:
        sheet: in any colours.
        kept: of them; of more than half of the palette the first ones.
    """
    exact = list(dict.fromkeys(kept))[: _NUM_COLOURS // 2]
    found = sheet.quantize(_NUM_COLOURS - len(exact), method=Image.Quantize.MEDIANCUT)
    if not exact:
        return found
    # Pillow looks up colours of a given palette by their upper bits, so it would miss some.
    first = _NUM_COLOURS - len(exact)
    pixels, index = np.asarray(sheet), np.array(found)
    for place, colour in enumerate(exact, start=first):
        index[(pixels == colour).all(axis=2)] = place
    exactly = Image.fromarray(index)
    others = (found.getpalette() or [])[: 3 * first]
    padding = [0] * (3 * first - len(others))
    exactly.putpalette([*others, *padding, *(channel for colour in exact for channel in colour)])
    return exactly


def shortened(text: str, width: float) -> str:
    """A text that is at most so many pixels wide, cut in its middle.

    Of file names both ends matter: what it is, and its number. Characters that the font lacks
    become question marks.
    """
    text, font = drawable(text), _font()
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        cut = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(cut) <= width:
            return cut
    return ""


def _placed(legend: Legend) -> tuple[list[tuple[int, int, str, Colour]], int]:
    """Left, top, shown name and colour of each entry, line by line; and the height of all lines."""
    entries, left, top = [], _MARGIN, _MARGIN
    for name, colour in legend:
        shown = shortened(name, _LONGEST_NAME)
        width = _SWATCH + _GAP // 2 + int(_font().getlength(shown)) + 2 * _GAP
        if left > _MARGIN and left + width > SHEET_WIDTH:
            left, top = _MARGIN, top + _LINE_HEIGHT
        entries.append((left, top, shown, colour))
        left += width
    return entries, top - _MARGIN + _LINE_HEIGHT + _GAP if entries else 0


def _draw_legend(
    draw: ImageDraw.ImageDraw, entries: Sequence[tuple[int, int, str, Colour]]
) -> None:
    for left, top, name, colour in entries:
        draw.rectangle((left, top + 2, left + _SWATCH - 1, top + 1 + _SWATCH), fill=colour)
        draw.text((left + _SWATCH + _GAP // 2, top), name, _INK, _font())


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], width: float
) -> None:
    for number, line in enumerate(lines):
        corner = place[0], place[1] + number * _LINE_HEIGHT
        draw.text(corner, shortened(line, width), _PALE if number else _INK, _font())


def _thumbnail(image: np.ndarray, size: int) -> Image.Image:
    return Image.fromarray(image).resize((size, size), Image.Resampling.BOX)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along, of which :func:`drawable` knows the characters."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # The basic layout is the same whether or not the system has a library for complex scripts.
    return ImageFont.truetype(str(file), _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
