"""What a kind of targets must say for the report of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from sftcore.data.kinds import Names
from sftcore.data.store import Store
from sftcore.inspection.choice import Shown


@dataclass(frozen=True)
class Prepared:
    """Prepared data as their report sees them.

    Attributes:
        store: opened for train and validation alone.
        summary: content of the prepared data's ``summary.json``.
        names: what examples are called.
    """

    store: Store
    summary: Mapping[str, Any]
    names: Names

    @property
    def num_examples(self) -> int:
        """Of all splits."""
        return int(self.summary[f"num_{self.names.plural}"])


@dataclass(frozen=True)
class Selection:
    """Examples of train and validation that are shown.

    Attributes:
        title: of their part of the report.
        text: how they were chosen.
        noun: of what each group of them has in common: the heading of its names.
        order: ends a caption that begins with ``Classes 1 to 20``.
        shown: groups of them.
    """

    title: str
    text: tuple[str, ...]
    noun: str
    order: str
    shown: list[Shown]


class TargetReport(Protocol):
    """One kind of targets in words, tables and choices."""

    @property
    def plural(self) -> str:
        """What is predicted: ``classes``; also the name of the table's file."""

    @property
    def score(self) -> str:
        """What a comparison of two models on the test split is about."""

    @property
    def right(self) -> str:
        """When an example counts for this score; empty where the score is a number, of whose
        differences nothing is known before two models are measured."""

    @property
    def column(self) -> str:
        """Of tables of examples: where their targets stand."""

    @property
    def heading(self) -> str:
        """Of this column, as people read it."""

    def begin(self, data: Prepared) -> str:
        """How much there is, in a sentence."""

    def table(self, data: Prepared) -> pd.DataFrame:
        """What the splits hold."""

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """What a row of the table is, and heading by its column."""

    def lines(self, data: Prepared) -> list[str]:
        """The table for a terminal, at most 80 columns wide."""

    def select(self, data: Prepared, per_row: int) -> Selection:
        """Examples to show, in rows of so many."""

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The target of one row of the store's samples in a few words."""
