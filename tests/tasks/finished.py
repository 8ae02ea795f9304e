"""Finished models of every task, made of synthetic answers: nothing is trained."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sftcore.foundations.turns import Turn, read_turns, write_turns
from sftcore.models.dense.maps import Maps
from sftcore.tasks.finished import Answer, Explanation, Finished, Span, unexplained
from sftcore.tasks.names import ANSWERS, BOXES, CLASSES, CLASSES_OF_TEXTS, MASKS
from sftcore.tasks.report_contract import Measuring
from tests.tasks.boxes import SIDE as BOXED_SIDE
from tests.tasks.boxes import boxes_facts, given_boxes, true_boxes
from tests.tasks.made import multilabel_rows, number_rows

NAMES = ["=cat", "a $very$ long name of a thing", "日本"]
SIZES = {"train": 90, "val": 60, "test": 50}
SPLITS = [split for split, size in SIZES.items() for _ in range(size)]
PLACES = {split: np.flatnonzero(np.array(SPLITS) == split) for split in SIZES}
MEASURING = Measuring(
    num_resamples=200, confidence=0.9, num_bins=7, num_most_wrong=5, coverage=0.85, seed=3,
    num_prompts=6, most_tokens=9,
)  # fmt: skip


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


class MadeSpeaker:
    """Says what it was told to say; the lower the cost, the better it foretells.

    Args:
        cost: nats of a token.
    """

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.asked = 0

    def sums(self, dialogues: Sequence[str], before: Sequence[Turn] = ()) -> np.ndarray:
        counts = np.array([len(ids) for ids in self.token_ids(dialogues)])
        costs = self.cost - 0.1 * len(before) + 0.02 * (counts % 5)
        return np.column_stack([counts * costs, counts, counts // 3]).astype(float)

    def token_ids(self, dialogues: Sequence[str]) -> list[np.ndarray]:
        """A token for each character of an answer."""
        answers = [read_turns(content)[-1][1] for content in dialogues]
        return [np.frombuffer(said.encode(), dtype=np.uint8).astype(int) for said in answers]

    def answers(self, dialogues: Sequence[str], most_tokens: int) -> list[Answer]:
        """Every other answer is the wanted one, in capital letters; the others do not end."""
        self.asked += len(dialogues)
        found = []
        for place, content in enumerate(dialogues):
            wanted = read_turns(content)[-1][1]
            is_right = place % 2 == 0
            said = wanted.upper() if is_right else "=and so on"
            found.append(Answer(said, most_tokens, is_right))
        return found


def made_answers() -> tuple[Finished, dict[str, Any], torch.Tensor]:
    """Dialogues about numbers, and a model that foretells them better than it did before."""
    count = len(SPLITS)
    dialogues = np.array(
        [
            write_turns([("user", f"=What is {row}?"), ("assistant", f"=It is\n{row % 13}.")])
            for row in range(count)
        ],
        dtype=object,
    )
    stream = np.random.default_rng(7)
    answers = MadeSpeaker(2.0).sums(dialogues)
    answers[:, 0] *= stream.uniform(0.8, 1.2, count)
    finished = Finished(
        answers=answers,
        targets=np.zeros((count, 0)),
        ids=[f"={row:03d}" for row in range(count)],
        splits=SPLITS,
        groups=[f"g{row // 2}" for row in range(count)],
        examples=dialogues,
        speaker=MadeSpeaker(2.0),
        before=MadeSpeaker(3.0),
    )
    return finished, {"names": []}, torch.zeros(count, 0)


SIDE = 32  # of pictures with masks


def made_masks() -> tuple[Finished, dict[str, Any], torch.Tensor]:
    """Masks of three classes in squares of 4 pixels, and logits of stride 8 that are often right.

    One picture of each split has no label, and others have a border without.
    """
    stream, count = np.random.default_rng(7), len(SPLITS)
    cells = stream.choice(3, p=(0.6, 0.3, 0.1), size=(count, 8, 8))
    masks = cells.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    masks[::7, :3] = 255
    masks[[rows[11] for rows in PLACES.values()]] = 255
    wanted = np.eye(3)[cells[:, ::2, ::2]].transpose(0, 3, 1, 2)
    answers = stream.normal(size=wanted.shape) + 2 * wanted
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None],
                             (count, SIDE, SIDE, 3))  # fmt: skip
    finished = Finished(
        answers=answers.astype(np.float32),
        targets=masks,
        ids=[f"={row:03d}" for row in range(count)],
        splits=SPLITS,
        groups=[f"g{row // 2}" for row in range(count)],
        examples=images,
    )
    return finished, {"names": NAMES}, torch.zeros(count, 2)


def made_maps(masks: np.ndarray, rows: np.ndarray) -> Maps:
    """Maps of strides 8, 16 and 32 that hint at the classes of their places."""
    tensors = []
    for stride, depth in ((8, 4), (16, 5), (32, 6)):
        stream, places = np.random.default_rng(stride), SIDE // stride
        squares = masks.reshape(len(masks), places, stride, places, stride)
        share = np.stack([(squares == k).mean(axis=(2, 4)) for k in range(3)], axis=1)
        mixed = np.einsum("nkhw,kd->ndhw", share, stream.normal(size=(3, depth)))
        noisy = 3 * mixed + 0.3 * stream.normal(size=mixed.shape) + 1
        tensors.append(torch.from_numpy(noisy[rows]).float())
    return Maps((8, 16, 32), tuple(tensors))


def made_boxes() -> tuple[Finished, dict[str, Any], torch.Tensor]:
    """Pictures of coloured squares with boxes, crowds and empty pictures among them."""
    count = len(SPLITS)
    targets = true_boxes(count, 0)
    stream = np.random.default_rng(7)
    finished = Finished(
        answers=given_boxes(targets, 1),
        targets=targets,
        ids=[f"={row:03d}" for row in range(count)],
        splits=SPLITS,
        groups=[f"g{row // 2}" for row in range(count)],
        examples=stream.integers(0, 255, (count, BOXED_SIDE, BOXED_SIDE, 3), dtype=np.uint8),
    )
    features = torch.from_numpy(stream.normal(size=(count, 12))).float()
    return finished, {"names": NAMES} | boxes_facts(), features


def made(task: str) -> tuple[Finished, dict[str, Any], torch.Tensor]:
    """Answers that are good but not right, the facts of the record, and frozen features.

    Near-duplicates come in pairs.
    """
    if task == ANSWERS:
        return made_answers()
    if task == MASKS:
        return made_masks()

    if task == BOXES:
        return made_boxes()
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
