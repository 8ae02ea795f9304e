"""Small pictures and folders of them, made on the spot."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("circle", "square", "stripes")


def draw(kind: str, seed: int, size: int = 40) -> Image.Image:
    """A noisy picture of one of the three classes; no two seeds look alike."""
    stream = np.random.default_rng([seed, CLASSES.index(kind) if kind in CLASSES else 99])
    y, x = np.mgrid[:size, :size] / size - 0.5
    low = np.kron(stream.uniform(0, 120, (5, 5)), np.ones((size // 5, size // 5)))
    shape = {
        "circle": x**2 + y**2 < 0.1,
        "square": (abs(x) < 0.25) & (abs(y) < 0.25),
        "stripes": np.sin(40 * x) > 0.3,
    }.get(kind, x > y)
    grey = np.where(shape, 255 - low, low)
    colour = np.stack([grey, grey * stream.uniform(0.6, 1), grey * stream.uniform(0.6, 1)], -1)
    return Image.fromarray(colour.astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture as the bytes of a file."""
    file = BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def write_folders(root: Path, per_class: int = 12) -> Path:
    """Class folders of distinct pictures."""
    for kind in CLASSES:
        (root / kind).mkdir(parents=True)
        for seed in range(per_class):
            (root / kind / f"{seed:03d}.png").write_bytes(encode(draw(kind, seed)))
    return root
