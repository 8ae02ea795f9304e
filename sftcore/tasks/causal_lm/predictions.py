"""What a model makes of every dialogue as a table, and the worst of them."""

import numpy as np
import pandas as pd

from sftcore.foundations.turns import read_turns
from sftcore.models.text.answer_loss import COUNT, HITS, SUM
from sftcore.tasks.causal_lm.asked import one_line
from sftcore.tasks.finished import Finished


def row_losses(sums: np.ndarray) -> np.ndarray:
    """Mean loss of a token of each row's answers [N], in nats, of sums [N, 3]."""
    return sums[:, SUM] / sums[:, COUNT]


def predictions_table(finished: Finished) -> pd.DataFrame:
    """One row per dialogue.

    Returns:
        Columns id, split, num_tokens (of its answers), loss (nats a token), token_accuracy.
    """
    sums = finished.answers
    return pd.DataFrame(
        {
            "id": list(finished.ids),
            "split": list(finished.splits),
            "num_tokens": sums[:, COUNT].astype(int),
            "loss": row_losses(sums),
            "token_accuracy": sums[:, HITS] / sums[:, COUNT],
        }
    )


def most_wrong_table(finished: Finished, count: int) -> pd.DataFrame:
    """The test dialogues with the greatest loss of a token.

    Args:
        finished: of all splits.
        count: dialogues that are shown.

    Returns:
        Columns id, loss, num_tokens, prompt, wanted.
    """
    loss = row_losses(finished.answers)
    rows = finished.rows("test")
    ids = np.asarray(finished.ids, dtype=object)
    worst = rows[np.lexsort((ids[rows], -loss[rows]))[:count]]
    turns = [read_turns(finished.examples[row]) for row in worst]
    return pd.DataFrame(
        {
            "id": ids[worst],
            "loss": loss[worst],
            "num_tokens": finished.answers[worst, COUNT].astype(int),
            "prompt": [one_line(" ".join(said for _, said in of[:-1])) for of in turns],
            "wanted": [one_line(of[-1][1]) for of in turns],
        }
    )
