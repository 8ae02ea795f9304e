"""Pictures as one array that a memory map can read."""

from pathlib import Path

import numpy as np

IMAGES_FILE = "images.npy"


def open_images(folder: Path) -> np.ndarray:
    """The squares of prepared pictures, uint8 [N, S, S, 3], as a memory map.

    Raises:
        OSError: there are none.
        ValueError: the file is damaged.
    """
    found: np.ndarray = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
    return found
