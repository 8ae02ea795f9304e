"""Figures of a finished decoder's answers, as PNG bytes."""

import numpy as np
import pandas as pd

from sftcore.reporting.drawing import BLUE, GREY, new_figure, own_style, to_png
from sftcore.tasks import report_figures
from sftcore.tasks.report_figures import Panel

_ACCURACY = Panel("token_accuracy", "token accuracy", (0, 1))
_BY_SPLIT = Panel("perplexity", "perplexity"), _ACCURACY
# Perplexities of rows that are far apart leave no room for those that are close.
_BY_ROW = Panel("loss", "loss (nats a token)"), _ACCURACY


@own_style()
def before_after_figure(before: np.ndarray, after: np.ndarray) -> bytes:
    """Every test dialogue's loss, of the model as it came and of the fine-tuned one.

    Args:
        before: nats a token of each dialogue [T].
        after: likewise [T].
    """
    figure, axes = new_figure(5.5, 5)
    axis = axes[0, 0]
    ends = np.array([min(before.min(), after.min()), max(before.max(), after.max())])
    axis.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="as it was")
    axis.plot(before, after, "o", color=BLUE, markersize=4, alpha=0.6)
    better = int((after < before).sum())
    axis.set(xlabel="loss of the model as it came (nats a token)",
             ylabel="loss of the fine-tuned model",
             title=f"{better} of {len(after)} test dialogues are foretold better")  # fmt: skip
    axis.legend(frameon=False, loc="upper left")
    return to_png(figure)


def gap_figure(gap: pd.DataFrame) -> bytes:
    """Perplexity and token accuracy on train, val and test.

    Args:
        gap: columns split, num_dialogues, and both numbers with _low and _high.
    """
    title = "Perplexity and token accuracy by split"
    return report_figures.gap_figure(gap, _BY_SPLIT, title, "dialogues")


def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test.

    Args:
        table: of :func:`sftcore.tasks.report_numbers.compare`.
    """
    return report_figures.baselines_figure(table, _BY_ROW, "dialogues")
