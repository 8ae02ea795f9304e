"""Contact sheets: size, bytes, places, and names in any script."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from sftcore.inspection.sheets import (
    SHEET_WIDTH,
    Cell,
    Layout,
    Row,
    _font,
    draw_sheet,
    pack,
    shortened,
    wrap,
)

LAYOUT = Layout(title_width=100, cell_width=80, picture_size=64, num_lines=2)
NAMES = [
    "кошки",
    "日本語.png",
    "\u202egnp.exe",
    "$\\frac{1}{2}$",
    "<script>",
    "a\nb",
    "\udcff.png",
    "",
]


def picture(colour: tuple[int, int, int], size: int = 20) -> np.ndarray:
    return np.full((size, size, 3), colour, dtype=np.uint8)


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def test_every_picture_stands_in_its_place_in_its_colour() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 200, 10)]
    rows = [Row(("class",), tuple(Cell(picture(c)) for c in colours[:2])),
            Row(("other",), (None, *(Cell(picture(c)) for c in colours[2:])))]  # fmt: skip
    sheet = opened(draw_sheet(rows, LAYOUT)).convert("RGB")
    assert sheet.width == SHEET_WIDTH
    for column, line, colour in ((0, 0, colours[0]), (1, 0, colours[1]), (1, 1, colours[2]),
                                 (2, 1, colours[3]), (0, 1, (255, 255, 255))):  # fmt: skip
        x = 6 + 100 + 80 * column + 32
        y = 6 + LAYOUT.row_height * line + 32
        found = sheet.getpixel((x, y))
        assert np.abs(np.subtract(found, colour)).max() <= 4, (column, line)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn_and_stays_in_its_cell(name: str) -> None:
    white = picture((255, 255, 255))
    cell = Cell(white, (name * 9, name))
    content = draw_sheet([Row((name * 5, name), (cell,))], LAYOUT)
    assert content == draw_sheet([Row((name * 5, name), (cell,))], LAYOUT)
    pixels = np.asarray(opened(content).convert("L"))
    assert (pixels[:, 6 + 100 + 80 :] > 250).all(), "nothing right of the cell"
    if name:
        assert (pixels < 128).any(), "something is drawn"


def test_the_file_has_a_palette_and_no_metadata() -> None:
    stream = np.random.default_rng(0)
    noisy = [Cell(stream.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(22)]
    image = opened(draw_sheet(wrap(noisy, LAYOUT), LAYOUT))
    assert (image.mode, image.format) == ("P", "PNG")
    assert not image.info.keys() - {"transparency"}
    assert len(wrap(noisy, LAYOUT)) == 2
    assert LAYOUT.num_columns == 11


def test_names_are_cut_in_the_middle_to_the_width() -> None:
    name = "holiday_in_the_mountains_of_2019_0001.jpg"
    cut = shortened(name, 120)
    assert _font().getlength(cut) <= 120
    begin, _, end = cut.partition("…")
    assert name.startswith(begin)
    assert name.endswith(end)
    assert end.endswith("1.jpg")
    assert shortened("short.jpg", 120) == "short.jpg"
    assert shortened(name, 1) == ""


def test_groups_stay_whole_with_a_gap_between_them() -> None:
    def cells(count: int) -> list[Cell]:
        return [Cell(picture((0, 0, 0)))] * count

    rows = pack([cells(11), cells(4), cells(6), cells(2)], LAYOUT)
    assert [[cell is not None for cell in row.cells] for row in rows] == [
        [True] * 11, [True] * 4 + [False] + [True] * 6, [True] * 2,
    ]  # fmt: skip
    assert pack([], LAYOUT) == []
