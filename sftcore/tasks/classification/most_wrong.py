"""The pictures that a model is most wrong about."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.classification.figures import most_wrong_figure

COLUMNS = ["id", "label", "predicted", "confidence", "probability_of_label"]
# Lines of the table of predictions, their examples, and the folder of the report.
ShowWrong = Callable[[pd.DataFrame, np.ndarray, Path], Part]


def show_pictures(wrong: pd.DataFrame, images: np.ndarray, folder: Path) -> Part:
    """Write the pictures with their true and predicted classes, and say what they show.

    Args:
        wrong: lines of the table of predictions, the most wrong first.
        images: of these lines, uint8 [K, S, S, 3].
        folder: of the stage's report; gets ``most_wrong.csv`` and ``most_wrong.png``.
    """
    write_csv(folder / "most_wrong.csv", safe_cells(wrong[COLUMNS]))
    write_bytes(folder / "most_wrong.png", most_wrong_figure(wrong, images))
    return Part(
        "The pictures it is most wrong about",
        figures=(
            Figure(
                "most_wrong.png", "Test pictures whose true class got the least probability.",
                "most_wrong.csv",
            ),
        ),
        tables=(
            Table(
                "most_wrong.csv",
                "A wrong label is as likely a cause as a hard picture: look.",
                {
                    "id": "picture", "label": "label", "predicted": "predicted",
                    "confidence": "confidence",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip
