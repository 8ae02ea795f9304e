"""Annotations and predictions as files for other tools; bytes are a function of the content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import Any

import numpy as np
from PIL import Image

from sftcore.data.annotations.outlines import Outline, Polygons, compress_counts
from sftcore.data.annotations.values import Annotated, Boxes
from sftcore.foundations.masks import IGNORED

_DIGITS = ".9g"  # enough to tell any two float32 apart
_COMPRESSION = 6
_VOID_COLOUR = (224, 224, 192)


@dataclass(frozen=True)
class Detections:
    """What a model found on one picture.

    Attributes:
        image_id: of the picture in the file that results are compared with.
        corners: float [n, 4]: left, top, right, bottom in pixels of the original picture.
        category_ids: n numbers of classes.
        scores: float [n], greater is surer.
    """

    image_id: int | str
    corners: np.ndarray
    category_ids: Sequence[int]
    scores: np.ndarray


def coco_results(pictures: Sequence[Detections]) -> bytes:
    """COCO's file of results: a row for each box, with ``bbox`` as left, top, width, height.

    Rows stand in the order of the pictures, those of a picture by score, the surest first, and
    equal scores as they came (https://cocodataset.org/#format-results).

    Raises:
        ValueError: a number is not finite.
    """
    rows = []
    for found in pictures:
        for place in np.argsort(-np.asarray(found.scores, dtype=np.float64), kind="stable"):
            rows.append(
                {
                    "image_id": found.image_id,
                    "category_id": int(found.category_ids[place]),
                    "bbox": _bbox(found.corners[place]),
                    "score": _short(found.scores[place]),
                }
            )
    return _lines(rows)


def coco_instances(
    pictures: Sequence[Annotated],
    classes: Sequence[str],
    scores: Sequence[Sequence[float]] | None = None,
) -> bytes:
    """COCO's file of instances, which :func:`sftcore.data.annotations.coco.read_coco` reads.

    Args:
        pictures: with boxes, numbered from 1 in their order.
        classes: all names, numbered from 1 in their order.
        scores: of each picture's boxes, where a model found them: with these the list
            ``annotations`` is what COCO takes as results, too.

    Raises:
        ValueError: a number is not finite.
    """
    number_of = {name: number for number, name in enumerate(classes, start=1)}
    images: list[Any] = []
    annotations: list[Any] = []
    for number, picture in enumerate(pictures, start=1):
        width, height = picture.size
        images.append(
            {"id": number, "file_name": picture.picture, "width": width, "height": height}
        )
        if picture.boxes is not None:
            rows = _rows(picture.boxes, number, number_of, len(annotations))
            if scores is not None:
                pairs = zip(rows, scores[number - 1], strict=True)
                rows = [row | {"score": _short(score)} for row, score in pairs]
            annotations += rows
    categories = [{"id": number, "name": name} for name, number in number_of.items()]
    parts = {"images": images, "annotations": annotations, "categories": categories}
    text = b",\n".join(
        json.dumps(name).encode() + b": " + _lines(rows).rstrip() for name, rows in parts.items()
    )
    return b"{" + text + b"}\n"


def _rows(boxes: Boxes, image: int, number_of: Mapping[str, int], before: int) -> list[Any]:
    rows = []
    for place, (corners, name) in enumerate(zip(boxes.corners, boxes.names, strict=True)):
        outline = boxes.outlines[place]
        bbox = _bbox(corners)
        row = {
            "id": before + place + 1,
            "image_id": image,
            "category_id": number_of[name],
            "bbox": bbox,
            "area": _short(bbox[2] * bbox[3]),
            "iscrowd": int(boxes.is_crowd[place]),
        }
        rows.append(row | ({} if outline is None else {"segmentation": _segmentation(outline)}))
    return rows


def _segmentation(outline: Outline) -> Any:
    if isinstance(outline, Polygons):
        return [[_short(number) for number in ring.ravel()] for ring in outline.rings]
    return {"size": [outline.height, outline.width], "counts": compress_counts(outline.counts)}


def _bbox(corners: np.ndarray) -> list[float]:
    left, top, right, bottom = (float(value) for value in corners)
    return [_short(value) for value in (left, top, right - left, bottom - top)]


def _short(number: float) -> float:
    if not isfinite(number):
        raise ValueError(f"{number} in a file of boxes")
    return float(format(float(number), _DIGITS))


def _lines(rows: Sequence[Any]) -> bytes:
    """A JSON list with a row a line."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return ("[" + ",\n".join(lines) + "]\n").encode()


def index_mask(mask: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """A PNG whose pixel values are indices of classes, in colours that tell them apart.

    Args:
        mask: uint8 [H, W], in the picture's own size.
        palette: uint8 [256, 3]; :func:`voc_palette` for None.
    """
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.uint8))
    colours = voc_palette() if palette is None else palette
    image.putpalette(colours.astype(np.uint8).tobytes())
    file = BytesIO()
    image.save(file, format="PNG", compress_level=_COMPRESSION, bits=8)
    return file.getvalue()


def voc_palette() -> np.ndarray:
    """Colours of Pascal VOC: the bits of an index, three by three, from the highest bit of each.

    Index 255, for pixels that do not count, has the colour of its borders (VOC2012 development
    kit, ``VOClabelcolormap``).

    Returns:
        uint8 [256, 3].
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            source = 3 * bit + channel
            if source < 8:
                palette[:, channel] |= (index >> source & 1) << (7 - bit)
    palette[IGNORED] = _VOID_COLOUR
    return palette.astype(np.uint8)
