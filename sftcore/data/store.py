"""The prepared pictures as files that a memory map can read, opened split by split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import read_json, sha256_file, write_json
from sftcore.foundations.errors import DataError

IMAGES_FILE = "images.npy"
SAMPLES_FILE = "samples.csv"
CLASSES_FILE = "classes.json"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Store:
    """Prepared pictures of the splits that were asked for.

    Attributes:
        images: uint8 [N, S, S, 3] memory map of all pictures, rows in the order of their ids.
        labels: class index of every row [N], int64; -1 in splits that were not asked for.
        samples: id, label, split, sha256 and group of the rows of those splits.
        classes: names in the order of the class indices.
        background: colour in [0, 255] around oblong pictures.
        digest: sha256 of the manifest, which names every file's sha256.
    """

    images: np.ndarray
    labels: np.ndarray
    samples: pd.DataFrame
    classes: list[str]
    background: tuple[int, int, int]
    digest: str
    splits: tuple[str, ...]

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.images.shape[1])

    def split(self, name: str) -> np.ndarray:
        """Rows of one split, ascending.

        Raises:
            ValueError: the store was not opened for this split.
        """
        if name not in self.splits:
            raise ValueError(f"the store was opened for {self.splits}, not for {name!r}")
        rows = self.samples["row"][self.samples["split"] == name]
        return rows.to_numpy(dtype=np.int64, copy=True)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Name every file of the folder with its sha256; written last, so it means "complete"."""
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    write_json(folder / MANIFEST_FILE, {**facts, "files": files})


def open_store(folder: Path, splits: Sequence[str]) -> Store:
    """Open prepared pictures for some splits; the labels of other splits stay hidden.

    Raises:
        DataError: the folder is not there, not complete, or of another project's shape.
    """
    try:
        manifest = read_json(folder / MANIFEST_FILE)
        for name in (SAMPLES_FILE, CLASSES_FILE):
            if sha256_file(folder / name) != manifest["files"][name]:
                raise ValueError(f"{name} was changed")
        texts = dict.fromkeys(("id", "label", "split", "sha256", "group"), "str")
        samples = pd.read_csv(folder / SAMPLES_FILE, dtype=texts, na_filter=False)
        red, green, blue = manifest["background"]
        images = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
        classes = read_json(folder / CLASSES_FILE)
        if len(samples) != len(images):
            raise ValueError(f"{len(samples)} samples and {len(images)} pictures")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no complete prepared data ({error}): run `dvc repro prepare`"
        ) from error
    labels = samples["label_index"].to_numpy(dtype=np.int64, copy=True)
    is_open = samples["split"].isin(list(splits)).to_numpy(dtype=bool)
    labels[~is_open] = -1
    return Store(
        images=images,
        labels=labels,
        samples=samples[is_open].reset_index(drop=True),
        classes=classes,
        background=(red, green, blue),
        digest=sha256_file(folder / MANIFEST_FILE),
        splits=tuple(splits),
    )
