"""Answers that stand in the examples themselves, in the report of the data."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sftcore.foundations.randomness import derive_seed
from sftcore.foundations.turns import ASSISTANT, TEXT, read_turns
from sftcore.inspection.choice import Shown
from sftcore.inspection.overview import NAME_WIDTH, cells, padded, split_lines
from sftcore.inspection.targets.contract import Prepared, Selection
from sftcore.inspection.targets.numbers import quantiles

_OPEN = ("train", "val")
_COLUMNS = ("least", "median", "mean", "most")
_MOST_SHOWN = 24


class AnswerReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = column = heading = "answers"
    score, right = "loss", ""

    def begin(self, data: Prepared) -> str:
        """Dialogues and answers, and how long these are."""
        words = [count for of in self._words(data).values() for count in of]
        found = quantiles(pd.Series(words))
        return (
            f"{data.num_examples:,} {data.names.plural}. Train and validation have "
            f"{len(words):,} answers of {found['least']:g} to {found['most']:g} words, "
            f"{found['mean']:.1f} on average."
        )

    def table(self, data: Prepared) -> pd.DataFrame:
        """Answers of the open splits, and the quantiles of their lengths in words."""
        rows = [
            {"split": split, **quantiles(pd.Series(words, dtype=float))}
            for split, words in self._words(data).items()
        ]
        return pd.DataFrame(rows)

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """Lengths of answers."""
        headings = {"split": "split", "count": "answers", "least": "least", "median": "median"}
        return "Answers and their lengths in words.", {**headings, "mean": "mean", "most": "most"}

    def lines(self, data: Prepared) -> list[str]:
        """Lengths of the answers, and the sizes of the splits."""
        shown = [
            padded(f"  words of an answer, {row['split']}")
            + cells([row.get(name, float("nan")) for name in _COLUMNS])
            for row in self.table(data).to_dict("records")
        ]
        header = " " * NAME_WIDTH + cells(["least", "median", "mean", "most"])
        total = f"all {data.names.plural}"
        return [header, *shown, *split_lines(data.summary["splits"], data.num_examples, total)]

    def select(self, data: Prepared, per_row: int) -> Selection:
        """Dialogues by a hash of their content."""
        samples = data.store.samples
        places = samples["sha256"].map(lambda sha256: derive_seed(0, "sheet", sha256))
        rows = samples.assign(place=places).sort_values(["place", "id"])["row"]
        chosen = tuple(rows.head(_MOST_SHOWN).tolist())
        return Selection(
            "Dialogues",
            (
                f"{len(chosen)} of the {len(samples):,} dialogues for training and validation, "
                "chosen by a hash of their content. None of the test split is shown.",
            ),
            "dialogues",
            "by a hash of their content",
            [Shown("all", chosen, len(samples))],
        )

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """How many answers a dialogue has."""
        (content,) = data.store.texts.read([sample["row"]])
        return str(len(_answers(content)))

    def _words(self, data: Prepared) -> dict[str, list[float]]:
        """Words of every answer, by split."""
        return {
            split: [
                float(len(answer.split()))
                for content in data.store.texts.read(data.store.split(split))
                for answer in _answers(content)
            ]
            for split in _OPEN
        }


def _answers(content: str) -> Sequence[str]:
    return [said for role, said in read_turns(content) if role in (ASSISTANT, TEXT)]
