"""Things that scenes show: drawings with a class, and the pools that they are dealt into.

``things.csv`` holds what was looked at, drawing by drawing: its class, the family of drawings that
are variants of one another, and, where it was left out, why.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("things.csv")

# The value of a class in a mask is its place here, from 1 on.
CLASSES: Mapping[str, str] = {
    "person": "people and heads of people",
    "mammal": "mammals on legs and their heads",
    "vehicle": "cars, buses, lorries and what else has wheels",
    "road_sign": "traffic signs without their posts",
    "fruit": "fruit and vegetables, whole or cut",
    "plant": "trees, flowers, leaves",
    "tool": "hand tools, for writing and cutting, too",
    "device": "computers and what is plugged into them, telephones, cameras",
}


@dataclass(frozen=True)
class Thing:
    """A drawing of a class.

    Attributes:
        label: name of its class.
        source: path in the package.
        family: equal for variants of one drawing.
    """

    label: str
    source: str
    family: str


def read_things() -> list[Thing]:
    """The drawings that are taken, in the order of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["left_out"]]
    return [
        Thing(row["class"], row["openclipart_path"], row["family"] or row["openclipart_path"])
        for row in rows
    ]


def deal(things: Sequence[Thing], num_pools: int) -> list[list[Thing]]:
    """Things in pools that no family crosses, all classes as evenly as that allows.

    Large families are dealt first, each to the pool with the fewest things of its class, of equal
    ones to that with the fewest classes, of equal ones to that with the fewest things.

    Args:
        things: all of them.
        num_pools: at most the number of families of each class, or some pools lack that class.
    """
    families: dict[tuple[str, str], list[Thing]] = defaultdict(list)
    for thing in things:
        families[thing.label, thing.family].append(thing)
    pools: list[list[Thing]] = [[] for _ in range(num_pools)]
    counts = [Counter[str]() for _ in range(num_pools)]
    for label, name in sorted(families, key=lambda key: (-len(families[key]), _position(key))):
        least = min(
            range(num_pools),
            key=lambda i: (counts[i][label], len(counts[i]), counts[i].total(), i),
        )
        pools[least] += families[label, name]
        counts[least][label] += len(families[label, name])
    return pools


def _position(key: tuple[str, str]) -> str:
    return hashlib.sha256(f"scenes/{'/'.join(key)}".encode()).hexdigest()
