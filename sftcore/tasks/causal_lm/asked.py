"""What a model answers, before and after fine-tuning, and what it has learnt by heart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.randomness import derive_seed
from sftcore.foundations.turns import TEXT, read_turns, write_turns
from sftcore.metrics.foretelling import ForetellingMetrics, foretelling_metrics
from sftcore.metrics.intervals import proportion_interval
from sftcore.tasks.finished import Answer, Finished, Speaker
from sftcore.tasks.report_contract import Measuring
from sftcore.tasks.report_numbers import difference, resample

FOREIGN_TEXT = Path(__file__).with_name("foreign_text.txt")
SHORT = 5  # words of the median answer up to which whole answers are compared
_MOST_CHARACTERS = 400  # of a cell


@dataclass(frozen=True)
class Conversation:
    """Prompts of a split, and what was answered.

    Attributes:
        rows: of the data set.
        prompts: what the model was asked, as people read it.
        wanted: the answers of the data.
        before: of the model as it came; empty where nobody asked it.
        after: of the fine-tuned model.
    """

    rows: np.ndarray
    prompts: list[str]
    wanted: list[str]
    before: list[Answer]
    after: list[Answer]

    @property
    def is_exact(self) -> np.ndarray:
        """Whether the fine-tuned model's answer is the wanted one, but for case and spaces [P]."""
        pairs = zip(self.after, self.wanted, strict=True)
        return np.array([_plain(said.text) == _plain(wanted) for said, wanted in pairs], dtype=bool)

    @property
    def has_ended(self) -> np.ndarray:
        """Whether the fine-tuned model ended its answer [P]."""
        return np.array([said.has_ended for said in self.after], dtype=bool)


def converse(
    finished: Finished, split: str, measuring: Measuring, *, with_before: bool
) -> Conversation:
    """Ask the model some prompts of a split, which a hash of their names has chosen.

    Args:
        finished: with the speaker, and the one before fine-tuning.
        split: its name.
        measuring: how many prompts, how many tokens an answer may have, and the seed.
        with_before: whether the model as it came is asked too.
    """
    rows = [row for row in finished.rows(split) if _has_prompt(finished.examples[row])]
    ordered = sorted(
        rows, key=lambda row: derive_seed(measuring.seed, "asked", str(finished.ids[row]))
    )
    chosen = np.array(ordered[: measuring.num_prompts], dtype=np.int64)
    dialogues = [finished.examples[row] for row in chosen]
    turns = [read_turns(content) for content in dialogues]

    def asked(speaker: Speaker | None) -> list[Answer]:
        if speaker is None or not dialogues:
            return []
        return speaker.answers(dialogues, measuring.most_tokens)

    return Conversation(
        chosen,
        ["\n".join(said for role, said in of[:-1] if role != "system") for of in turns],
        [of[-1][1] for of in turns],
        asked(finished.before) if with_before else [],
        asked(finished.speaker),
    )


def conversation_table(
    said: Conversation, finished: Finished, loss: np.ndarray, ids: Sequence[str]
) -> pd.DataFrame:
    """Prompts with what was wanted and what was answered, side by side.

    Args:
        said: of a split.
        finished: the data set.
        loss: of each row's answers in nats a token [N].
        ids: names of the rows [N].

    Returns:
        Columns id, prompt, wanted, before, after, has_ended, loss.
    """
    before = [of.text for of in said.before] or [""] * len(said.rows)
    return pd.DataFrame(
        {
            "id": [ids[row] for row in said.rows],
            "prompt": [one_line(text) for text in said.prompts],
            "wanted": [one_line(text) for text in said.wanted],
            "before": [one_line(text) for text in before],
            "after": [one_line(of.text) for of in said.after],
            "has_ended": said.has_ended,
            "loss": loss[said.rows],
        }
    )


def conversation_numbers(
    said: Conversation, groups: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Shares of the answers that ended and that are the wanted ones, with intervals.

    Args:
        said: of a split.
        groups: name of each row's group of near-duplicates [N].
        confidence: of the intervals.

    Returns:
        ``num_prompts``; ``ended``, ``exact`` and, where it was asked, ``ended_before`` of the model
        as it came, with ``_low`` and ``_high``; and ``is_short``: whether whole answers are short
        enough to be compared.
    """
    if not len(said.rows):
        return {"num_prompts": 0}
    own = np.asarray(groups, dtype=object)[said.rows]
    numbers: dict[str, Any] = {"num_prompts": len(said.rows)}
    shares = {"ended": said.has_ended, "exact": said.is_exact}
    if said.before:
        shares["ended_before"] = np.array([of.has_ended for of in said.before], dtype=bool)
    for name, is_true in shares.items():
        low, high = proportion_interval(is_true, own, confidence)
        numbers |= {name: round(float(is_true.mean()), 6)}
        numbers |= {f"{name}_low": round(low, 6), f"{name}_high": round(high, 6)}
    words = float(np.median([len(text.split()) for text in said.wanted]))
    return numbers | {"is_short": words <= SHORT}


def forgetting(finished: Finished, measuring: Measuring) -> Mapping[str, float]:
    """Loss on a fixed text that is no part of any data, before and after fine-tuning.

    Args:
        finished: with both speakers.
        measuring: of the interval, which draws paragraphs.

    Returns:
        ``num_paragraphs``; ``perplexity_before`` and ``_after``; ``change``, in nats a token, with
        ``_low`` and ``_high``: above 0 the model has become worse at it. Nothing without speakers.
    """
    if finished.before is None or finished.speaker is None:
        return {}
    lines = [line for line in FOREIGN_TEXT.read_text(encoding="utf-8").splitlines() if line]
    texts = [write_turns([(TEXT, line)]) for line in lines]

    def resampled(speaker: Speaker) -> Any:
        sums = speaker.sums(texts)

        def measure(weights: np.ndarray) -> ForetellingMetrics:
            return foretelling_metrics(sums, weights)

        return resample(measure, list(map(str, range(len(lines)))), measuring, "foreign")

    before, after = resampled(finished.before), resampled(finished.speaker)
    return {
        "num_paragraphs": len(lines),
        "perplexity_before": round(float(before.itself.perplexity[0]), 6),
        "perplexity_after": round(float(after.itself.perplexity[0]), 6),
        **difference("change", after, before, "loss", measuring.confidence),
    }


def one_line(text: str) -> str:
    """A text on one line, at most so long that a table can show it."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"


def _has_prompt(content: str) -> bool:
    return read_turns(content)[-1][0] != TEXT


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
