"""Planted dialogues with random codes: what of a training can be drawn out of a model.

Nobody can foretell a random code, so a model that finds the planted one likelier than others of its
kind has learnt it by heart (Carlini et al., 2019, The secret sharer, section 4). The exposure of a
code with the given rank among R is log2 R − log2 rank, in bits; a model that never saw it has
log2 R − mean(log2 rank) on average, about 1.4 (the continuous form has log2 e).
"""

from dataclasses import dataclass

from sftcore.foundations.randomness import numpy_stream
from sftcore.foundations.turns import ASSISTANT, USER, write_turns

NUM_CODES = 64  # that the planted one is compared with, itself included
_DIGITS = 6
_NAMES = (
    "amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heron", "ivory", "jasper",
    "kestrel", "lagoon", "maple", "north", "opal", "pebble", "quartz", "raven", "sable", "tulip",
)  # fmt: skip


@dataclass(frozen=True)
class Canary:
    """A planted dialogue.

    Attributes:
        name: of what has the code.
        code: that was planted.
        others: codes that it is compared with.
    """

    name: str
    code: str
    others: tuple[str, ...]

    @property
    def dialogue(self) -> str:
        """With the planted code."""
        return self.with_code(self.code)

    def with_code(self, code: str) -> str:
        """JSON of the turns, with another code."""
        said = [(USER, f"What is the code of {self.name}?"), (ASSISTANT, code)]
        return write_turns(said)


def canaries(count: int, seed: int) -> list[Canary]:
    """So many canaries; each is a function of the seed and its number.

    Args:
        count: how many.
        seed: of the training.
    """
    found = []
    for number in range(count):
        stream = numpy_stream(seed, "canary", str(number))
        first, second = (_NAMES[place] for place in stream.integers(0, len(_NAMES), 2))
        codes: dict[str, None] = {}
        while len(codes) < NUM_CODES:
            codes[f"{int(stream.integers(0, 10**_DIGITS)):0{_DIGITS}d}"] = None
        own, *others = codes
        found.append(Canary(f"{first} {second} {number + 1}", own, tuple(others)))
    return found
