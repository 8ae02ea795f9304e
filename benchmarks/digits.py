"""Handwritten digits that scikit-learn carries, as folders: a set for which nothing was tuned.

``python -m benchmarks.digits FOLDER`` writes 1,797 pictures of 8 x 8 pixels in ten class folders
(Alpaydin and Kaynak, 1998, Optical recognition of handwritten digits). Prepare them with
``data.path`` set to the folder.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

_GREYS = 16  # of the set's pictures


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = folder / f"digit {label}" / f"{index:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(image * 255 / _GREYS).astype(np.uint8)).save(file)
    print(f"{len(digits.target)} pictures in {folder}")


if __name__ == "__main__":
    main()
