"""Answers to prompts, token after token, as a task."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sftcore.models.text.answer_loss import COUNT, HITS, SUM, answer_sums, token_loss
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.names import ANSWERS
from sftcore.tasks.refusals import OF_DIALOGUES

_NO_CLASSES = "every token is one of the whole vocabulary, and answers have no classes"


@dataclass(frozen=True)
class AnswerLoss:
    """The training loss: cross-entropy of the tokens that are learnt.

    Attributes:
        label_smoothing: ε in [0, 1).
    """

    label_smoothing: float

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :class:`sftcore.tasks.contract.Criterion`; logits [T, V], targets [B, L, 3]."""
        return token_loss(output, targets, self.label_smoothing) / weight


class CausalLmTask(Task):
    """Targets are tokens [B, L, 3] with their weights; what is kept of a row are sums [3]."""

    name = ANSWERS
    examples = "dialogues"
    outputs = "tokens"
    scores = ("token_accuracy",)
    headline: ClassVar[Mapping[str, tuple[str, str]]] = {
        "test/perplexity": ("test", "perplexity"),
        "test/perplexity_low": ("test", "perplexity_low"),
        "test/perplexity_high": ("test", "perplexity_high"),
        "test/token_accuracy": ("test", "token_accuracy"),
        "test/loss": ("test", "loss"),
        "test/perplexity_gain": ("worth", "test_perplexity"),
        "test/loss_gap": ("gap", "test_minus_train_loss"),
        "val/final_perplexity": ("val", "perplexity"),
    }
    words: ClassVar[Mapping[str, str]] = {
        "loss": "nats a token",
        "token_accuracy": "token accuracy",
    }
    loss_unit = "nats a token"
    loss_words = "plain cross-entropy of answers' tokens"
    remainder = "tokens that are not the first choice"
    simpler_rows = ("token_frequencies",)
    simpler_words = "how often each token is in answers"
    probe_words = before_words = "the model as it came"
    refuses: ClassVar[Mapping[str, str]] = OF_DIALOGUES | {
        "data.targets": "what is learnt are the answers, which stand in the text",
        "model.dropout": "the head came with the model; see model.text.hidden_dropout",
        "model.text.pooling": "every token has a state of its own, and none are pooled",
        "train.head": "the head came with the model, and nothing new is put before it",
        "train.augmentation": "an answer belongs to its very prompt",
        "train.imbalance": _NO_CLASSES,
        "train.error": "a token is right or wrong, and errors have no size",
        "train.embeddings.r3f": "its penalty is of an example's one output, and here are many",
        "train.features.bss": "it is of an example's one row of features, and here are many",
    }
    has_new_head = False

    def weight(self, targets: Tensor) -> float:
        """Tokens that are learnt, those of prompts by their weight."""
        return float(targets[..., 1].sum())

    def criterion(self, settings: LossSettings) -> Criterion:
        """Cross-entropy of the tokens that are learnt."""
        return AnswerLoss(settings.label_smoothing)

    def kept(self, head: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> Tensor:
        """Sums over each row's answers, float64 [B, 3]: loss, tokens, first choices."""
        return answer_sums(head, features, targets)

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Loss and accuracy of answers' tokens; every token counts the same."""
        return _measured(output.double().sum(dim=0).tolist())

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """What each example adds to the metric; the mean over examples is the metric itself.

        A metric is a quotient of two sums over examples. The second one is the same for two models
        of the same examples, so differences of these values are those of the metric.
        """
        part = -output[:, SUM] if metric == "loss" else output[:, HITS]
        return part.double() * (len(output) / output[:, COUNT].sum())

    def guessing_loss(self) -> float:
        """Entropy of the training answers' tokens: what it costs to know how often each comes."""
        counts = self._token_counts()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * shares.log()).sum())

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """Loss and accuracy; nothing more is chosen at the end."""
        return _measured(output.sum(axis=0).tolist())

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """What it costs to know how often each token is in training answers, each once more.

        A token that no training answer has must not be impossible (Laplace's rule of succession).
        """
        counts = self._token_counts() + 1
        ids = self._answer_ids(rows)
        costs = -(counts / counts.sum()).log()
        hits = (ids == counts.argmax()).double().sum()
        sums = [float(costs[ids].sum()), float(len(ids)), float(hits)]
        return {self.simpler_rows[0]: _measured(sums)}

    def record(self) -> dict[str, Any]:
        """The task alone: what outputs mean is the tokenizer's to say."""
        return {"task": self.name, "facts": {"names": []}}

    def _answer_ids(self, rows: np.ndarray) -> Tensor:
        targets = self.of(rows)
        return targets[targets[..., 2] > 0][:, 0].long()

    def _token_counts(self) -> Tensor:
        """How often each token is in training answers, float64 [V]; V is the greatest seen."""
        every = self._answer_ids(np.arange(len(self.targets)))
        own = self._answer_ids(self.train_rows)
        return torch.bincount(own, minlength=int(every.max()) + 1).double()


def _measured(sums: list[float]) -> dict[str, float]:
    loss, count, hits = sums
    if count == 0:
        return {"loss": math.nan, "token_accuracy": math.nan}
    return {"loss": loss / count, "token_accuracy": hits / count}
