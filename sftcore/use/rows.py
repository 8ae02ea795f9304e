"""The table of predictions: a row for every file, also for those that have no answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.artifacts import CSV_FLOAT_FORMAT
from sftcore.foundations.tables import printable, safe_cells
from sftcore.use.decision import Decision, decide
from sftcore.use.decoding import Opened

PLAIN = ("file", "label", "confidence")
DECIDED = ("probability", "labels", "num_labels", "abstain", "distance", "unlike")
REASON = "reason"


@dataclass(frozen=True)
class RowMaker:
    """Makes lines of CSV.

    Attributes:
        classes: C names.
        decision: the rules with what the distance is measured to, or None without rules.
        with_probabilities: whether the network's own probabilities of all classes stand there too.
    """

    classes: Sequence[str]
    decision: tuple[Decision, Tensor] | None
    with_probabilities: bool

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        decided = DECIDED if self.decision is not None else ()
        numbered = [f"p_{k}" for k in range(len(self.classes))] if self.with_probabilities else []
        return [*PLAIN, *decided, REASON, *numbered]

    @property
    def header(self) -> str:
        """The first line."""
        return ",".join(self.columns) + "\n"

    def lines(self, opened: Sequence[Opened], seen: Seen | None) -> list[str]:
        """A line for each file, in their order.

        Args:
            opened: files.
            seen: what the network says of those of them that are pictures; None without any.
        """
        table = pd.DataFrame(
            {
                "file": [of.named.name for of in opened],
                REASON: [printable(of.reason) for of in opened],
            }
        )
        is_picture = np.array([of.pixels is not None for of in opened])
        if seen is not None:
            answers = pd.DataFrame(self._answers(seen), index=np.flatnonzero(is_picture))
            table = table.join(answers)
        table = safe_cells(table.reindex(columns=self.columns))
        text = table.to_csv(
            header=False, index=False, lineterminator="\n", float_format=CSV_FLOAT_FORMAT
        )
        return [f"{line}\n" for line in text.split("\n")[:-1]]  # no cell holds a line end

    def _answers(self, seen: Seen) -> dict[str, Any]:
        names = np.array([printable(name) for name in self.classes], dtype=object)
        probability = seen.probability
        answers: dict[str, Any] = {
            "label": names[probability.argmax(axis=1)],
            "confidence": probability.max(axis=1).astype(float),
        }
        if self.decision is not None:
            verdicts = decide(*self.decision, seen.features, probability)
            answers |= {
                "probability": verdicts.probability.max(axis=1),
                "labels": [
                    self._set_of(inside, of)
                    for inside, of in zip(verdicts.in_set, verdicts.probability, strict=True)
                ],
                "num_labels": pd.array(verdicts.in_set.sum(axis=1), dtype="Int64"),
                "abstain": pd.array(verdicts.abstains, dtype="boolean"),
                "distance": verdicts.distance.astype(float),
                "unlike": pd.array(verdicts.is_unlike, dtype="boolean"),
            }
        return answers | {f"p_{k}": of.astype(float) for k, of in enumerate(probability.T)}

    def _set_of(self, inside: np.ndarray, probability: np.ndarray) -> str:
        """Names of a set as a JSON list, the most probable first: a name may hold anything."""
        order = np.argsort(-probability, kind="stable")
        names = [self.classes[k] for k in order if inside[k]]
        return json.dumps(names, ensure_ascii=False)
