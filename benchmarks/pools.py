"""Pools of pictures for the study's calibration: frozen features, and who is drawn into a study.

Features are what the frozen pretrained backbone makes of plain pictures, as trainings with no
trained block read them; they are computed once and kept under ``.sft``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from sftcore.data.loader import split_batches
from sftcore.data.pictures.decode import fit_square
from sftcore.data.store import open_store
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.randomness import numpy_stream
from sftcore.foundations.runtime import set_up
from sftcore.models.settings import ModelSettings
from sftcore.models.start import build_start
from sftcore.training.views import PLAIN, Pictures

KEPT = Path(".sft/calibration")
NUM_DIRECTIONS = 128  # principal directions that are kept: a head on them costs a tenth
_CHUNK = 1000  # pictures held in memory at once
_NUM_CLASSES = 10  # of Fashion-MNIST


@dataclass(frozen=True)
class Population:
    """Pictures that studies draw their pools from.

    Attributes:
        name: in words.
        features: float32 [N, D], centred, of mean squared length one.
        labels: class indices [N].
        groups: names of near-duplicates' groups [N].
        num_classes: C.
        pool_size: pictures of a study; of the whole groups that are drawn, about so many.
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    num_classes: int
    pool_size: int


def draw_pool(population: Population, study: int) -> pd.DataFrame:
    """The pictures of one study, whole groups drawn without replacement.

    Returns:
        Columns row, label, split, sha256 and group, as a store's samples have them.
    """
    names = np.unique(population.groups)
    order = numpy_stream(study, "pool").permutation(len(names))
    place = dict(zip(names, order, strict=True))
    ranks = np.array([place[group] for group in population.groups])
    last = np.sort(ranks)[min(population.pool_size, len(ranks)) - 1]
    rows = np.flatnonzero(ranks <= last)
    return pd.DataFrame({
        "row": rows,
        "label": [f"{label:03d}" for label in population.labels[rows]],
        "split": "train",
        "sha256": "",
        "group": population.groups[rows],
    })  # fmt: skip


def shipped(model: ModelSettings, prepared: Path) -> Population:
    """The train and validation pictures of prepared data; a study draws three quarters of them."""
    store = open_store(prepared, ("train", "val"))
    rows = store.samples["row"].to_numpy(dtype=np.int64)
    pictures = (np.asarray(store.images[chunk]) for chunk in split_batches(rows, _CHUNK))
    features = _features(model, pictures, store.digest)
    return Population(
        "prepared", _reduced(features), store.labels[rows], store.samples["group"].to_numpy(),
        len(store.classes), round(0.75 * len(rows)),
    )  # fmt: skip


def fashion_mnist(model: ModelSettings, source: Path, num: int, side: int, pool: int) -> Population:
    """Random pictures of Fashion-MNIST.

    Args:
        model: whose backbone looks at them.
        source: holds ``FashionMNIST/raw``, see :mod:`benchmarks.fashion_mnist`.
        num: pictures of the population.
        side: in pixels.
        pool: pictures of a study.
    """
    from torchvision.datasets import FashionMNIST

    parts = [FashionMNIST(source, train=is_train) for is_train in (True, False)]
    images = np.concatenate([part.data.numpy() for part in parts])
    labels = np.concatenate([part.targets.numpy() for part in parts])
    chosen = np.sort(numpy_stream(0, "fashion_mnist").permutation(len(labels))[:num])
    white = (255, 255, 255)
    pictures = (
        np.stack([fit_square(Image.fromarray(images[i]).convert("RGB"), side, white) for i in rows])
        for rows in split_batches(chosen, _CHUNK)
    )
    features = _features(model, pictures, f"fashion_mnist {num} {side}")
    groups = np.array([f"{row:05d}" for row in chosen])
    return Population(
        "Fashion-MNIST", _reduced(features), labels[chosen], groups, _NUM_CLASSES, pool
    )


def _features(model: ModelSettings, chunks: Iterator[np.ndarray], data: str) -> np.ndarray:
    """Features [N, D] of pictures [n, S, S, 3] in chunks, or what is kept of them."""
    identity = f"{model.backbone} {model.weights} {data}".encode()
    file = KEPT / f"{sha256_bytes(identity)[:16]}.npy"
    if not file.exists():
        found = np.concatenate([_compute(model, chunk) for chunk in chunks])
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, found)
    return np.load(file)


@torch.no_grad()
def _compute(model: ModelSettings, images: np.ndarray) -> np.ndarray:
    device = set_up("cpu", 1)
    start = build_start(
        backbone=model.backbone, weights=model.weights, num_classes=2,
        image_size=images.shape[1], dropout=0.0, seed=0, device=device,
    )  # fmt: skip
    network, record = start.network.eval(), start.record
    pictures = Pictures(images, record.mean, record.std, (255, 255, 255), device)
    batches = split_batches(np.arange(len(images)), 32)
    outputs = [
        network.run_blocks(pictures.read(rows, PLAIN), 0, len(network.blocks)) for rows in batches
    ]
    return torch.cat(outputs).numpy()


def _reduced(features: np.ndarray) -> np.ndarray:
    """Centred features [N, D] on their first principal directions, of mean squared length one."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    reduced = centred @ directions[:, : -NUM_DIRECTIONS - 1 : -1]
    scale = np.sqrt(np.square(reduced).sum(axis=1).mean())
    return (reduced / scale).astype(np.float32)
