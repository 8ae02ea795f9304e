"""Data that ship with the project, prepared in a temporary folder, for benchmarks."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from sftcore.data.prepare import prepare
from sftcore.data.settings import DataSettings
from sftcore.data.store import Store, open_store
from sftcore.pipeline.examples import examples_of

DATA = Path(__file__).parent.parent / "data"


@contextmanager
def shipped(
    task: str,
    data: DataSettings,
    split_seed: int = 0,
    splits: Sequence[str] = ("train", "val"),
) -> Iterator[Store]:
    """The store of train and validation examples.

    Args:
        task: in :data:`sftcore.tasks.registry.TASKS`.
        data: where the examples come from.
        split_seed: another number draws another split.
        splits: that are opened.
    """
    examples, source = examples_of(task, data), Path(data.path)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "prepared"
        prepare(
            source=data.source, path=source, table=data.table, kind=examples.kind,
            target=examples.target, output=folder,
            max_refused_fraction=data.max_refused_fraction, min_per_class=data.min_per_class,
            near_duplicate_distance=data.near_duplicate_distance, val_fraction=data.val_fraction,
            test_fraction=data.test_fraction, split_seed=split_seed,
        )  # fmt: skip
        yield open_store(folder, splits)


def with_fewer(store: Store, num_train: int, seed: int = 0) -> Store:
    """The same with so many training examples, drawn at random."""
    samples = store.samples
    train = np.flatnonzero(samples["split"] == "train")
    left_out = np.random.default_rng(seed).permutation(train)[num_train:]
    return replace(store, samples=samples.drop(samples.index[left_out]).reset_index(drop=True))
