"""Opening every example of a source once, and judging its bytes and its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sftcore.data.audit import Refusal, refuse_duplicates
from sftcore.data.kinds import Names, Pile, Refused, Seen
from sftcore.data.sources import Item, reading_order
from sftcore.data.targets.target import Target, Value, value_text
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.progress import show_progress


@dataclass(frozen=True)
class Judged:
    """What was seen of the examples that could be opened, in the order of their ids."""

    items: list[Item]
    rows: list[int]  # in the pile of all examples
    values: list[Value]  # targets
    sha256s: list[str]  # of the files' or cells' bytes
    keys: list[str]  # equal where two examples are the same
    hashes: np.ndarray  # uint64 [N, V, W]

    def without(self, dropped: set[int]) -> "Judged":
        """The same without some positions."""
        kept = [i for i in range(len(self.items)) if i not in dropped]
        return replace(
            self,
            items=[self.items[i] for i in kept],
            rows=[self.rows[i] for i in kept],
            values=[self.values[i] for i in kept],
            sha256s=[self.sha256s[i] for i in kept],
            keys=[self.keys[i] for i in kept],
            hashes=self.hashes[kept],
        )


@dataclass(frozen=True)
class Divided:
    """The examples that are used, and what was decided about them.

    Attributes:
        judged: N of them, in the order of their ids.
        leaders: names of their groups of near-duplicates.
        strata: what each split got its share of.
        splits: of them.
    """

    judged: Judged
    leaders: list[str]
    strata: list[str]
    splits: list[str]

    def without(self, dropped: set[int]) -> "Divided":
        """The same without some positions."""
        kept = [i for i in range(len(self.splits)) if i not in dropped]
        return Divided(
            self.judged.without(dropped),
            [self.leaders[i] for i in kept],
            [self.strata[i] for i in kept],
            [self.splits[i] for i in kept],
        )


def judge(
    items: Sequence[Item], pile: Pile, names: Names, target: Target, columns: Sequence[str]
) -> tuple[Judged, list[Refusal]]:
    """Open every example once, in the order that costs least.

    Args:
        items: N examples, in the order of their ids.
        pile: gets their values; row i is item i.
        names: of their kind.
        target: what is to be predicted.
        columns: names of the cells that hold it; none for classes.

    Returns:
        What was seen of those that could be opened, and the others with their reasons.
    """
    seen: dict[int, tuple[Value, str, Seen]] = {}
    refused: dict[int, Refusal] = {}
    with show_progress("prepare", len(items), names.plural) as progress:
        for row in reading_order(items):
            item = items[row]
            progress.advance()
            try:
                content = item.read()
                found = pile.add(row, content)
                value = target.parse(item.label, item.cells, columns)
            except Refused as why:
                refused[row] = Refusal(item.id, item.label, why.reason, why.detail)
                continue
            seen[row] = value, sha256_bytes(content), found
    return judged_of(items, seen), [refused[row] for row in sorted(refused)]


def judged_of(items: Sequence[Item], seen: Mapping[int, tuple[Value, str, Seen]]) -> Judged:
    """What was seen of those examples that can be used, which may be none.

    Args:
        items: all examples.
        seen: target, sha256 and what the pile saw, by the example's row.
    """
    rows = sorted(seen)
    hashes = [seen[row][2].hashes for row in rows]
    return Judged(
        [items[row] for row in rows],
        rows,
        [seen[row][0] for row in rows],
        [seen[row][1] for row in rows],
        [seen[row][2].key for row in rows],
        np.stack(hashes) if hashes else np.empty((0, 1, 1), dtype=np.uint64),
    )


def drop_copies(judged: Judged, refusals: list[Refusal], names: Names) -> Judged:
    """Without examples whose bytes, or characters, stand elsewhere too.

    Args:
        judged: in the order of their ids.
        refusals: gets a row for each that is dropped.
        names: of their kind.
    """
    ids = [item.id for item in judged.items]
    labels = [value_text(value) for value in judged.values]
    given = [item.split for item in judged.items]
    refused = refuse_duplicates(ids, labels, judged.keys, given, names)
    refusals += [
        Refusal(ids[i], judged.items[i].label, why.reason, why.detail) for i, why in refused.items()
    ]
    return judged.without(set(refused))
