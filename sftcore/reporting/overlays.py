"""Masks and boxes drawn on pictures: the same on every machine, as pixels and no figure."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sftcore.reporting.drawing import drawable

Colour = tuple[int, int, int]
# Told apart by colour-blind readers as far as so many colours can be (Okabe and Ito's seven, then
# lighter and darker ones); a background of masks is left as it is.
_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233),
    (240, 228, 66), (110, 44, 0), (120, 94, 240), (30, 90, 60), (160, 0, 80), (150, 150, 150),
)  # fmt: skip
_IGNORED = 255
_IGNORED_COLOUR = (255, 255, 255)
_OPACITY = 0.55
_LINE, _DASH = 2, 4  # pixels


def class_colours(names: Sequence[str]) -> list[Colour]:
    """A colour for each class, in their order; past twelve they come again, darker."""
    found = []
    for number in range(len(names)):
        turn, place = divmod(number, len(_COLOURS))
        red, green, blue = (int(value * 0.7**turn) for value in _COLOURS[place])
        found.append((red, green, blue))
    return found


def with_mask(
    image: np.ndarray, mask: np.ndarray, colours: Sequence[Colour], background: int | None = None
) -> np.ndarray:
    """A picture with its classes laid over it.

    Args:
        image: uint8 [H, W, 3].
        mask: class of each pixel [H, W]; 255, which is ignored, is hatched in white.
        colours: of the classes.
        background: class that is left as the picture is.

    Returns:
        uint8 [H, W, 3].
    """
    table = np.zeros((_IGNORED + 1, 3))
    table[: len(colours)] = colours
    table[_IGNORED] = _IGNORED_COLOUR
    opacity = np.full(_IGNORED + 1, _OPACITY)
    if background is not None:
        opacity[background] = 0.0
    share = opacity[mask][:, :, None]
    rows, columns = np.indices(mask.shape)
    is_plain = (mask == _IGNORED) & ((rows + columns) % 6 >= 2)
    share[is_plain] = 0.0
    return np.rint(image * (1 - share) + table[mask] * share).astype(np.uint8)


def with_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    colours: Sequence[Colour],
    labels: Sequence[str] = (),
    dashed: Sequence[bool] = (),
    line_width: int = _LINE,
) -> np.ndarray:
    """A picture with boxes drawn on it, the first ones on top.

    Args:
        image: uint8 [H, W, 3].
        boxes: left, top, right, bottom in pixels [n, 4].
        colours: of each box.
        labels: words at each box's upper left corner; none, or n of them.
        dashed: which boxes have a broken line; none, or n of them.
        line_width: in pixels; 1 for small pictures.

    Returns:
        uint8 [H, W, 3].
    """
    drawn = Image.fromarray(np.ascontiguousarray(image))
    canvas = ImageDraw.Draw(drawn)
    font = ImageFont.load_default()
    height, width = image.shape[:2]
    last = np.array([width, height, width, height]) - 1  # a line on the far edge would be outside
    for place in range(len(boxes) - 1, -1, -1):
        corners = np.minimum(np.rint(boxes[place]), last)
        left, top, right, bottom = (int(value) for value in corners)
        sides = [
            ((left, top), (right, top)), ((right, top), (right, bottom)),
            ((right, bottom), (left, bottom)), ((left, bottom), (left, top)),
        ]  # fmt: skip
        for start, end in sides:
            _line(canvas, start, end, colours[place], bool(dashed) and dashed[place], line_width)
        if labels and labels[place]:
            _label(canvas, (left, top), labels[place], colours[place], font)
    return np.asarray(drawn)


def _line(
    canvas: ImageDraw.ImageDraw,
    start: tuple[int, int],
    end: tuple[int, int],
    colour: Colour,
    is_dashed: bool,
    width: int,
) -> None:
    if not is_dashed:
        canvas.line([start, end], fill=colour, width=width)
        return
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    for begin in range(0, length, 2 * _DASH):
        stop = min(begin + _DASH, length)
        points = [
            tuple(a + (b - a) * place // max(length, 1) for a, b in zip(start, end, strict=True))
            for place in (begin, stop)
        ]
        canvas.line(points, fill=colour, width=width)


def _label(
    canvas: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: Colour, font: "object"
) -> None:
    """Words on a ground of the colour, above the corner where there is room."""
    shown = drawable(text).encode("latin-1", "replace").decode("latin-1")
    left, top, right, bottom = canvas.textbbox((0, 0), shown, font=font)  # type: ignore[arg-type]
    height = int(bottom - top) + 3
    x, y = max(corner[0], 0), corner[1] - height
    y = y if y >= 0 else max(corner[1], 0)
    canvas.rectangle([x, y, x + int(right - left) + 3, y + height], fill=colour)
    ink = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
    canvas.text((x + 2, y + 1 - int(top)), shown, fill=ink, font=font)  # type: ignore[arg-type]
