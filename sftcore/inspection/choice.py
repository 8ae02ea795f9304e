"""Which pictures are shown: chosen by hash, so that nobody's taste and no order has a say.

Pictures of the test split are never shown before the model is measured: who has seen them chooses
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
        name: of the class or the group.
        rows: that are shown.
        num_all: pictures that the class or group has in train and validation.
    """

    name: str
    rows: tuple[int, ...]
    num_all: int


def choose_of_classes(samples: pd.DataFrame, max_classes: int, per_class: int) -> list[Shown]:
    """Some pictures of every class, or of some classes.

    Args:
        samples: columns row, id, label, sha256, of the train and validation splits.
        max_classes: of more classes so many are chosen by the hash of their name.
        per_class: pictures of each, chosen by the hash of their content.

    Returns:
        In the order of the classes' names.
    """
    names = sorted(set(samples["label"]))
    if len(names) > max_classes:
        names = sorted(sorted(names, key=lambda name: derive_seed(0, "sheet", name))[:max_classes])
    # The content's hash itself decides the split, so it is hashed again.
    place = samples["sha256"].map(lambda sha256: derive_seed(0, "sheet", sha256))
    ordered = samples.assign(place=place).sort_values(["place", "id"])
    of_class = dict(list(ordered.groupby("label", sort=False)))
    return [
        Shown(name, tuple(of_class[name]["row"].head(per_class).tolist()), len(of_class[name]))
        for name in names
    ]


def choose_groups(samples: pd.DataFrame, max_groups: int, per_group: int) -> list[Shown]:
    """Groups of near-duplicates with more than one picture, the largest first, then by name.

    Args:
        samples: columns row, id, group, of the train and validation splits.
        max_groups: that are shown.
        per_group: pictures of each, the first by id.
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
