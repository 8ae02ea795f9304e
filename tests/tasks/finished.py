"""Finished models of every task, made of synthetic answers: nothing is trained."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sftcore.tasks.finished import Explanation, Finished, Span, unexplained
from sftcore.tasks.names import CLASSES, CLASSES_OF_TEXTS
from sftcore.tasks.report_contract import Measuring
from tests.tasks.made import multilabel_rows, number_rows

NAMES = ["=cat", "a $very$ long name of a thing", "日本"]
SIZES = {"train": 90, "val": 60, "test": 50}
SPLITS = [split for split, size in SIZES.items() for _ in range(size)]
PLACES = {split: np.flatnonzero(np.array(SPLITS) == split) for split in SIZES}
MEASURING = Measuring(
    num_resamples=200, confidence=0.9, num_bins=7, num_most_wrong=5, coverage=0.85, seed=3
)


def _features_and_targets(task: str) -> tuple[torch.Tensor, torch.Tensor]:
    if task == "regression":
        return number_rows(len(SPLITS), 0)
    features, labels = multilabel_rows(len(SPLITS), 0)
    if task == "multilabel":
        return features, labels.float()
    return features, labels[:, 0] + labels[:, 1]


def text_of(row: int, label: int) -> str:
    """A text that says its class in four of five rows, in several scripts."""
    word = ("ночь", "=sum(1)", "日本")[label if row % 5 else 0]
    return f"=It is {word} $here$,\nas {row % 7} said" + " and so on" * (row % 3) * 20


def by_length(texts: Sequence[str], classes: np.ndarray, others: np.ndarray) -> list[Explanation]:
    """Long words speak for the class, short ones for the other; a little is missing."""
    found = []
    for text, first, second in zip(texts, classes, others, strict=True):
        assert first != second
        words = re.finditer(r"\S+", text)
        spans = tuple(Span(w.start(), w.end(), (len(w[0]) - 3.5) / 4) for w in words)
        found.append(Explanation(spans, sum(span.weight for span in spans) - 0.01))
    return found


def made(task: str) -> tuple[Finished, dict[str, Any], torch.Tensor]:
    """Answers that are good but not right, the facts of the record, and frozen features.

    Near-duplicates come in pairs.
    """
    stream = np.random.default_rng(7)
    features, targets = _features_and_targets(task)
    wanted = targets.numpy()
    facts: dict[str, Any] = {"names": NAMES}
    if task in (CLASSES, CLASSES_OF_TEXTS):
        logits = stream.normal(size=(len(SPLITS), 3)) + 2 * np.eye(3)[wanted]
        answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    elif task == "multilabel":
        logits = stream.normal(size=wanted.shape) + 2.5 * wanted - [0.5, 1.5, 2.5]
        answers = 1 / (1 + np.exp(-logits))
    else:
        train = wanted[PLACES["train"]]
        scale = train.std(axis=0)
        facts["scale"] = {"mean": train.mean(axis=0).tolist(), "std": scale.tolist()}
        answers = wanted + (0.4 * stream.normal(size=wanted.shape) + 0.1) * scale
    count = len(SPLITS)
    images = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)
    )
    is_of_texts = task == CLASSES_OF_TEXTS
    texts = np.array([text_of(row, wanted[row]) for row in range(count)] if is_of_texts else [""],
                     dtype=object)  # fmt: skip
    finished = Finished(
        answers=answers,
        targets=wanted,
        ids=[f"={row:03d}" for row in range(count)],
        splits=SPLITS,
        groups=[f"g{row // 2}" for row in range(count)],
        examples=texts if is_of_texts else images,
        explain=by_length if is_of_texts else unexplained,
    )
    return finished, facts, features
