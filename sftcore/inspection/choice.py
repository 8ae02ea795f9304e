"""Which examples are shown: chosen by hash, so that nobody's taste and no order has a say.

Examples of the test split are never shown before the model is measured: who has seen them chooses
with them in mind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from sftcore.foundations.randomness import derive_seed


@dataclass(frozen=True)
class Shown:
    """Rows of the store that belong together.

    Attributes:
        name: of the class, label, number or group.
        rows: that are shown.
        num_all: examples that it has in train and validation.
        notes: what is written below each of them; none without.
    """

    name: str
    rows: tuple[int, ...]
    num_all: int
    notes: tuple[str, ...] = ()


def choose_of_classes(samples: pd.DataFrame, max_classes: int, per_class: int) -> list[Shown]:
    """Some examples of every class, or of some classes.

    Args:
        samples: columns row, id, label, sha256, of the train and validation splits.
        max_classes: of more classes so many are chosen by the hash of their name.
        per_class: examples of each, chosen by the hash of their content.

    Returns:
        In the order of the classes' names.
    """
    names = sorted(set(samples["label"]))
    if len(names) > max_classes:
        names = sorted(sorted(names, key=lambda name: derive_seed(0, "sheet", name))[:max_classes])
    ordered = samples.assign(place=_places(samples)).sort_values(["place", "id"])
    of_class = dict(list(ordered.groupby("label", sort=False)))
    return [
        Shown(name, tuple(of_class[name]["row"].head(per_class).tolist()), len(of_class[name]))
        for name in names
    ]


def choose_along(samples: pd.DataFrame, name: str, count: int) -> Shown:
    """Examples from the least to the most of a number, at even distances by rank.

    Args:
        samples: columns row, id, sha256 and the number's, of the train and validation splits.
        name: of the number.
        count: examples, fewer where there are not so many; at least two.
    """
    numbers, ids, rows = (samples[column].tolist() for column in (name, "id", "row"))
    places = _places(samples).tolist()
    # Of equal numbers the hash of their content decides which come first.
    order = sorted(range(len(rows)), key=lambda i: (numbers[i], places[i], ids[i]))
    last = len(order) - 1
    ranks = sorted({(2 * last * step + count - 1) // (2 * (count - 1)) for step in range(count)})
    chosen = [order[rank] for rank in ranks]
    notes = tuple(f"{numbers[i]:g}" for i in chosen)
    return Shown(name, tuple(rows[i] for i in chosen), len(order), notes)


def _places(samples: pd.DataFrame) -> pd.Series:
    """By the content's hash, hashed again since it decides the split itself."""
    return samples["sha256"].map(lambda sha256: derive_seed(0, "sheet", sha256))


def choose_groups(samples: pd.DataFrame, max_groups: int, per_group: int) -> list[Shown]:
    """Groups of near-duplicates with more than one example, the largest first, then by name.

    Args:
        samples: columns row, id, group, of the train and validation splits.
        max_groups: that are shown.
        per_group: examples of each, the first by id.
    """
    groups = [
        (name, part.sort_values("id")["row"].tolist())
        for name, part in samples.groupby("group", sort=True)
        if len(part) > 1
    ]
    groups.sort(key=lambda group: (-len(group[1]), group[0]))
    return [Shown(name, tuple(rows[:per_group]), len(rows)) for name, rows in groups[:max_groups]]


def refused_to_show(audit: pd.DataFrame, split_of: Mapping[str, str]) -> list[str]:
    """Ids of refused pictures that can be opened and look like no test picture.

    Args:
        audit: columns id, reason, detail, as prepare writes them.
        split_of: split of every used picture by its id.
    """
    shown = []
    for id_, reason, detail in audit[["id", "reason", "detail"]].itertuples(index=False):
        is_shown = {
            "same bytes under two labels": True,
            "same bytes as another picture": split_of.get(detail) != "test",
            "near-duplicate across splits": " in test, which" not in detail,
        }
        if is_shown.get(reason, False):
            shown.append(id_)
    return shown
