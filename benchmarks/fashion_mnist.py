"""Fashion-MNIST as class folders: ``python -m benchmarks.fashion_mnist SOURCE OUTPUT``.

A data set far from the pictures that the default weights were trained on, for docs/evidence.md.
SOURCE holds ``FashionMNIST/raw`` with the four original files, as torchvision lays them out. Writes
the first pictures of every class of the training part.
"""

import argparse
from pathlib import Path


def main() -> None:
    """Write PNG files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--per-class", type=int, default=70)
    options = parser.parse_args()
    from torchvision.datasets import FashionMNIST

    pictures = FashionMNIST(options.source)
    left = dict.fromkeys(range(len(pictures.classes)), options.per_class)
    for number, label in enumerate(pictures.targets.tolist()):
        if left[label] > 0:
            left[label] -= 1
            folder = options.output / pictures.classes[label].replace("/", "-")
            folder.mkdir(parents=True, exist_ok=True)
            pictures[number][0].convert("RGB").save(folder / f"{number:05d}.png")


if __name__ == "__main__":
    main()
