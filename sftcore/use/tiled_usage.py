"""What masks and boxes have in common in use: a picture is found, told in a row, and drawn."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.use.contract import AnyFixed, Usage, unlike_cells
from sftcore.use.decision import AnyDecision
from sftcore.use.tiles import TiledAnswers

D = TypeVar("D", bound=AnyDecision)
F = TypeVar("F", bound=AnyFixed)
X = TypeVar("X")


class TiledUsage(Usage[D, F], Generic[D, F, X]):
    """The rules of a task whose answers lie in the picture."""

    @abstractmethod
    def find(self, said: TiledAnswers, rules: D | None) -> X:
        """What is found on one picture, in its own pixels.

        Args:
            said: what the network says of its tiles.
            rules: None without rules.
        """

    @abstractmethod
    def row(self, found: X) -> dict[str, Any]:
        """The cells of one picture, but those of the distance."""

    @abstractmethod
    def drawn(self, image: np.ndarray, found: X) -> np.ndarray:
        """A picture with what is found on it.

        Args:
            image: uint8 [H, W, 3].
            found: on it.

        Returns:
            uint8 [H, W, 3].
        """

    def cells(self, seen: Seen, decision: tuple[D, Tensor] | None) -> dict[str, Any]:
        """The pictures' rows as columns, and the distance.

        Args:
            seen: with the dictionary of :meth:`row` of each picture as its answer, objects [N].
            decision: the rules with what the distance is measured to; None without rules.
        """
        rows: Sequence[dict[str, Any]] = seen.answers.tolist()
        cells: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        if decision is None:
            return cells
        return cells | unlike_cells(decision[0].unlike, decision[1], seen.features)
