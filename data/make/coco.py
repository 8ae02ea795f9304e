"""Annotations in the form of COCO's instances (cocodataset.org, "Data format").

Masks are written as run lengths without compression: pixels are counted column by column, the
first run is of pixels outside. Boxes are ``[left, top, width, height]`` in pixels.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the alternating runs of a mask, outside first, down the columns.

    Args:
        mask: bool [height, width].
    """
    pixels = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    return [int(n) for n in np.diff(np.concatenate([[0], changes, [mask.size]]))]


def box_of(mask: np.ndarray) -> list[int]:
    """Left and upper edge, width and height of what a mask covers, in pixels.

    Args:
        mask: bool [height, width], not empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def annotation(number: int, image: int, category: int, mask: np.ndarray) -> dict[str, Any]:
    """One object of a picture.

    Args:
        number: its id, from 1 on: pycocotools takes 0 for no object.
        image: id of its picture.
        category: id of its class.
        mask: visible pixels, bool [height, width], not empty.
    """
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box_of(mask),
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
    }


def to_json(content: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]]) -> bytes:
    """A JSON object of objects and of lists, one line per entry of a list."""
    parts = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            text = json.dumps(value, ensure_ascii=False)
        else:
            lines = [json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in value]
            text = "[\n" + ",\n".join(lines) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()
