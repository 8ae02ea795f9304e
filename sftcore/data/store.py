"""Prepared data as files that a memory map can read, opened split by split."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.pictures.annotated import NO_BOX
from sftcore.data.pictures.stored import IMAGES_FILE as IMAGES_FILE
from sftcore.data.pictures.stored import open_images
from sftcore.data.targets.target import TargetKind
from sftcore.data.texts.stored import Texts, open_texts
from sftcore.foundations.artifacts import read_json, sha256_file, write_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED

SAMPLES_FILE = "samples.csv"
CLASSES_FILE = "classes.json"
TARGETS_FILE = "targets.npy"
NAMES_FILE = "names.json"
MANIFEST_FILE = "manifest.json"
_OPENERS: dict[str, Callable[[Path], np.ndarray | Texts]] = {
    "pictures": open_images,
    "texts": open_texts,
    "dialogues": open_texts,
}
_WORDS = ("id", "split", "sha256", "group")  # columns of text, besides those of the target
_WORDS_OF_TARGET = {
    "class": ("label",),
    "labels": ("labels", "stratum"),
    "numbers": ("stratum",),
    "answers": ("stratum",),
    "masks": ("labels", "stratum"),
    "boxes": ("labels", "stratum"),
}
# What stands where a target is hidden.
_HIDDEN: Mapping[str, int | float | np.ndarray] = {
    "class": -1,
    "masks": IGNORED,
    "boxes": NO_BOX,
    **dict.fromkeys(("labels", "numbers", "answers"), math.nan),
}


@dataclass(frozen=True)
class Store:
    """Prepared examples of the splits that were asked for.

    Attributes:
        examples: all N of them, in the order of their ids: a uint8 [N, S, S, 3] memory map of
            pictures, or :class:`sftcore.data.texts.stored.Texts`.
        targets: of every row; hidden in splits that were not asked for. Classes are int64 [N],
            hidden -1; labels float32 [N, K] of 0 and 1, hidden NaN; numbers float64 [N, K], hidden
            NaN; answers, which stand in the examples, float64 [N, 0]. Masks are uint8 [N, S, S],
            hidden 255; boxes float32 [N, M, 6] of :mod:`sftcore.data.pictures.annotated`, hidden
            :data:`~sftcore.data.pictures.annotated.NO_BOX`.
        samples: id, target, split, sha256 and group of the rows of those splits, and the stratum
            of what are no classes. Of masks and boxes it holds the classes that a picture shows.
        names: of the classes, labels or numbers, in the order of outputs.
        digest: sha256 of the manifest, which names every file's sha256.
        splits: that were asked for.
        kind: ``pictures``, ``texts`` or ``dialogues``.
        target: ``class``, ``labels``, ``numbers``, ``answers``, ``masks`` or ``boxes``.
        facts: what the manifest says of the examples.
    """

    examples: np.ndarray | Texts
    targets: np.ndarray
    samples: pd.DataFrame
    names: list[str]
    digest: str
    splits: tuple[str, ...]
    kind: str = "pictures"
    target: TargetKind = "class"
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> np.ndarray:
        """Pictures, uint8 [N, S, S, 3].

        Raises:
            ValueError: the examples are no pictures.
        """
        if not isinstance(self.examples, np.ndarray):
            raise ValueError(f"the store holds {self.kind}, not pictures")
        return self.examples

    def read(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Examples of some rows: uint8 [n, S, S, 3] of pictures, objects [n] of texts."""
        if isinstance(self.examples, Texts):
            wanted = np.arange(len(self.examples))[rows]
            return np.array(self.examples.read(wanted), dtype=object)
        return np.asarray(self.images[rows])

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels; 0 of texts."""
        return 0 if isinstance(self.examples, Texts) else int(self.images.shape[1])

    @property
    def background(self) -> tuple[int, int, int]:
        """Colour in [0, 255] around oblong pictures."""
        red, green, blue = self.facts["background"]
        return red, green, blue

    @property
    def texts(self) -> Texts:
        """Texts.

        Raises:
            ValueError: the examples are no texts.
        """
        if not isinstance(self.examples, Texts):
            raise ValueError(f"the store holds {self.kind}, not texts")
        return self.examples

    @property
    def labels(self) -> np.ndarray:
        """Class index of every row [N], int64; -1 where hidden.

        Raises:
            ValueError: the targets are no classes.
        """
        if self.target != "class":
            raise ValueError(f"the store's targets are {self.target}, not classes")
        return self.targets

    @property
    def classes(self) -> list[str]:
        """Names in the order of the class indices.

        Raises:
            ValueError: the targets are no classes.
        """
        if self.target != "class":
            raise ValueError(f"the store's targets are {self.target}, not classes")
        return self.names

    @property
    def strata(self) -> np.ndarray:
        """What every row is balanced by, text [N]; empty where hidden."""
        column = "label" if self.target == "class" else "stratum"
        found = np.full(len(self.targets), "", dtype=object)
        found[self.samples["row"].to_numpy(dtype=np.int64)] = self.samples[column].to_numpy()
        return found

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
    """Open prepared data for some splits; the targets of other splits stay hidden.

    Raises:
        DataError: the folder is not there, not complete, or of another project's shape.
    """
    try:
        manifest = read_json(folder / MANIFEST_FILE)
        kind, target = manifest.get("kind", "pictures"), manifest.get("target", "class")
        samples, targets, names = _read_targets(folder, manifest["files"], target)
        facts = {name: value for name, value in manifest.items() if name != "files"}
        if kind == "pictures":
            _, _, _ = facts["background"]
        examples = _OPENERS[kind](folder)
        if not len(samples) == len(examples) == len(targets):
            raise ValueError(f"{len(samples)} samples and {len(examples)} {kind}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder} holds no complete prepared data ({error}): run `dvc repro prepare`"
        ) from error
    is_open = samples["split"].isin(list(splits)).to_numpy(dtype=bool)
    targets[~is_open] = _HIDDEN[target]
    return Store(
        examples=examples,
        targets=targets,
        samples=samples[is_open].reset_index(drop=True),
        names=names,
        digest=sha256_file(folder / MANIFEST_FILE),
        splits=tuple(splits),
        kind=kind,
        target=target,
        facts=facts,
    )


def _read_targets(
    folder: Path, files: Mapping[str, str], target: TargetKind
) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """The table of samples, the targets of all rows, and their names.

    Raises:
        OSError, ValueError, KeyError: a file is missing, or is not what the manifest names.
    """
    is_class = target == "class"
    for name in (SAMPLES_FILE, *((CLASSES_FILE,) if is_class else (TARGETS_FILE, NAMES_FILE))):
        if sha256_file(folder / name) != files[name]:
            raise ValueError(f"{name} was changed")
    words = dict.fromkeys((*_WORDS, *_WORDS_OF_TARGET[target]), "str")
    samples = pd.read_csv(folder / SAMPLES_FILE, dtype=words, na_filter=False)
    if is_class:
        targets = samples["label_index"].to_numpy(dtype=np.int64, copy=True)
        return samples, targets, read_json(folder / CLASSES_FILE)
    # Masks are as many as pictures: what is hidden of them is copied, the rest is read when asked.
    targets = np.load(folder / TARGETS_FILE, mmap_mode="c" if target == "masks" else None)
    return samples, targets, read_json(folder / NAMES_FILE)
