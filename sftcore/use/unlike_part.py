"""What the report says of the distance to the training examples, whatever the task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.reporting.parts import Figure, Part
from sftcore.use.decision import UnlikeRule
from sftcore.use.figures import unlike_figure


def unlike_table(
    distances: Mapping[str, np.ndarray], ids: Mapping[str, Sequence[str]], most_distance: float
) -> pd.DataFrame:
    """Distance of each example to the training examples, the farthest first.

    Args:
        distances: of the examples of each split.
        ids: their names.
        most_distance: an example farther away than this is unlike.
    """
    parts = [
        pd.DataFrame(
            {
                "id": list(ids[split]),
                "split": split,
                "distance": distance.astype(float),
                "is_unlike": distance > most_distance,
            }
        )
        for split, distance in distances.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(["distance", "id"], ascending=[False, True], ignore_index=True)


def unlike_part(
    distances: Mapping[str, np.ndarray],
    ids: Mapping[str, Sequence[str]],
    rule: UnlikeRule,
    folder: Path,
    examples: str = "pictures",
) -> Part:
    """Write the table and the figure of the distances, and say what they show.

    Args:
        distances: of the examples of ``val`` and of ``test``.
        ids: their names.
        rule: with its threshold.
        folder: of the stage's report.
        examples: what examples are called.
    """
    one = examples.removesuffix("s")
    table = unlike_table(distances, ids, rule.most_distance)
    write_csv(folder / "unlike.csv", safe_cells(table))
    write_bytes(folder / "unlike.png", unlike_figure(table, rule.most_distance, examples))
    return Part(
        title=f"{examples.capitalize()} unlike the training {examples}",
        text=(
            f"Distance: by the cosine, of a {one}'s features to its {rule.num_neighbours} nearest"
            f" training {examples} (the farthest of them). `predict` calls a {one} unlike that is "
            f"farther than {rule.most_distance:.4f}, as at most {1 - rule.wanted:.0%} of the "
            f"validation {examples} are. Of the test {examples}, {rule.test_passed} are not.",
            f"This says nothing of how well other {examples} are told apart: that depends on them.",
        ),
        figures=(
            Figure(
                "unlike.png",
                f"Share of {examples} up to each distance; the line is the threshold.",
                "unlike.csv",
            ),
        ),
        is_folded=True,
    )
