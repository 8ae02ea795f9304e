"""The texts that a model is most wrong about, with the words that its answers rest on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.reporting.drawing import plain_label
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.classification.most_wrong import COLUMNS
from sftcore.tasks.finished import Explain, Explanation
from sftcore.tasks.text_classification.figures import Marked, words_figure

_MOST_CHARACTERS = 300  # of a text in the table
_MOST_WORDS = 5
_TITLE = "Most wrong on the test split: true class → prediction (confidence)"
_LEGEND = (
    "orange: for the prediction; blue: for the true class (where the prediction is right, for the "
    "next one); strength relative to the text's strongest word"
)


def show_texts(
    wrong: pd.DataFrame,
    texts: np.ndarray,
    folder: Path,
    *,
    classes: Sequence[str],
    explain: Explain,
) -> Part:
    """Write the texts with their classes and the words that mattered, and say what they show.

    Args:
        wrong: lines of the table of predictions, the most wrong first.
        texts: of these lines, objects [K].
        folder: of the stage's report; gets ``most_wrong.csv`` and ``most_wrong.png``.
        classes: C names.
        explain: which words an answer rests on.
    """
    predicted, others = _compared(wrong, classes)
    found = explain(list(texts), predicted, others)
    pairs = list(zip(texts, found, strict=True))
    table = wrong[COLUMNS].assign(
        text=[shortened(text) for text in texts], words=[words_of(*pair) for pair in pairs]
    )
    write_csv(folder / "most_wrong.csv", safe_cells(table))
    headings = [
        f"{plain_label(row.label)} → {plain_label(row.predicted)} ({row.confidence:.0%})"
        for row in wrong.itertuples()
    ]
    marked = [
        Marked(heading, text, explained.spans)
        for heading, (text, explained) in zip(headings, pairs, strict=True)
    ]
    write_bytes(folder / "most_wrong.png", words_figure(marked, _TITLE, _LEGEND))
    return Part(
        "The texts it is most wrong about",
        text=_how(found),
        figures=(
            Figure(
                "most_wrong.png",
                "Test texts whose true class got the least probability, the first lines of each. A "
                "question mark may stand for a character that cannot be drawn: the table has it.",
                "most_wrong.csv",
            ),
        ),
        tables=(
            Table(
                "most_wrong.csv",
                "A wrong label is as likely a cause as a hard text: look.",
                {
                    "id": "id", "label": "label", "predicted": "predicted",
                    "confidence": "confidence", "text": "text", "words": "words that mattered",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def shortened(text: str) -> str:
    """A text on one line, at most so long that a table can show it."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"


def words_of(text: str, explained: Explanation) -> str:
    """The words with most weight and their weights in nats: ``river +1.20, bank -0.31``."""
    named = [span for span in explained.spans if span.end > span.start]
    strongest = sorted(named, key=lambda span: -abs(span.weight))[:_MOST_WORDS]
    return ", ".join(f"{text[span.start : span.end]} {span.weight:+.2f}" for span in strongest)


def _compared(wrong: pd.DataFrame, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the predicted classes, and of the true ones; of the next where it is right."""
    probability = wrong[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    order = np.argsort(-probability, axis=1, kind="stable")
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[name] for name in wrong["label"]], dtype=np.int64)
    return order[:, 0], np.where(labels == order[:, 0], order[:, 1], labels)


def _how(found: Sequence[Explanation]) -> tuple[str, ...]:
    """How the words were weighed, and how well the sums hold; nothing where none was."""
    if not any(explained.spans for explained in found):
        return ()
    worst = max(found, key=lambda explained: abs(explained.error))
    return (
        "A word's weight is what it adds to the log-odds of the predicted class over the true one "
        "(where the prediction is right: over the next class), in nats, beside the same text with "
        "every word hidden: integrated gradients of the token embeddings (Sundararajan et al., "
        f"2017). The table names the {_MOST_WORDS} words of most weight. The weights of a text add "
        f"up to the whole difference; here they miss it by at most {abs(worst.error):.2g} of "
        f"{worst.difference:+.2f} nats. A weight says what this model goes by, not what is true.",
    )
