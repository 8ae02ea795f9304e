"""The course of a training as one figure."""

import pandas as pd
from matplotlib.ticker import MaxNLocator

from sftcore.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    new_figure,
    own_style,
    to_png,
)

Score = tuple[str, str]  # a score's name in the tables, and as figures have it
ACCURACY: Score = ("accuracy", "accuracy")
_ABOVE_LEGEND = 20  # points from an axis to its title


@own_style()
def history_figure(
    history: pd.DataFrame, best_epoch: int, score: Score = ACCURACY, loss_unit: str = "nats"
) -> bytes:
    """Loss, score, rate with gradient, and weight norms by epoch, as PNG.

    Where validation loss has risen by the end, the stretch from the best epoch on is marked: that
    is what keeping the last parameters costs on the choosing pictures, where they are few mostly by
    chance.

    Args:
        history: columns of :class:`sftcore.training.records.EpochRecord`.
        best_epoch: marked by a line.
        score: the headline of the task.
        loss_unit: of the loss.
    """
    figure, axes = new_figure(8.4, 6.6, 2, 2)
    loss, headline, rate, weights = axes.flat
    epoch = history["epoch"]
    for axis, (name, title) in ((loss, ("loss", f"loss ({loss_unit})")), (headline, score)):
        axis.plot(epoch, history[f"train_{name}"], color=BLUE, label="train")
        axis.plot(epoch, history[f"val_{name}"], color=ORANGE, label="validation")
        axis.set_title(title, loc="left", pad=_ABOVE_LEGEND)
    losses = history["val_loss"]
    rise = losses.iloc[-1] - losses.iloc[best_epoch]
    if rise > 0:
        loss.set_ymargin(0.2)  # room for the words above the last point
        loss.axvspan(best_epoch, epoch.iloc[-1], color=RED, alpha=0.08, linewidth=0)
        loss.annotate(
            f"rises to epoch {epoch.iloc[-1]}: {rise:+z.3f}",
            (epoch.iloc[-1], losses.iloc[-1]), xytext=(0, 14), textcoords="offset points",
            ha="right", fontsize=8, color=RED,
        )  # fmt: skip
    descended = history[history["learning_rate"] > 0]  # a solved head has no rate
    rate.plot(descended["epoch"], descended["learning_rate"], color=GREEN, label="rate")
    rate.plot(descended["epoch"], descended["gradient_norm"], color=RED, label="gradient norm")
    if len(descended) and (descended["gradient_norm"] > 0).all():
        rate.set_yscale("log")
    rate.set_title("optimization", loc="left", pad=_ABOVE_LEGEND)
    weights.plot(epoch, history["weight_norm"], color=BLUE, label="‖w‖")
    weights.plot(epoch, history["weight_distance"], color=ORANGE, label="‖w − w₀‖")
    weights.set_yscale("symlog", linthresh=0.1)
    weights.set_title("weights", loc="left", pad=_ABOVE_LEGEND)
    head = epoch[history["phase"] == "head"]
    for axis in axes.flat:
        if len(head) and len(head) < len(history):
            axis.axvspan(head.min(), head.max() + 0.5, color="#f0f0f0", zorder=0)
        axis.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1.2)
        axis.set_xlabel("epoch (shaded: head alone; dotted: best)")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9,
            borderaxespad=0.1, borderpad=0, columnspacing=1, handlelength=1.5,
        )  # fmt: skip
    return to_png(figure)


@own_style()
def wise_ft_figure(line: pd.DataFrame, score: Score = ACCURACY) -> bytes:
    """Loss and score along the line from the trained head to the trained network, as PNG.

    Args:
        line: columns alpha, and train_ and val_ with loss and score.
        score: the headline of the task.
    """
    figure, axes = new_figure(7.5, 3.4, 1, 2)
    for axis, (name, title) in zip(axes.flat, (("loss", "loss"), score), strict=True):
        axis.plot(line["alpha"], line[f"train_{name}"], "o-", color=BLUE, label="train")
        axis.plot(line["alpha"], line[f"val_{name}"], "o-", color=ORANGE, label="validation")
        axis.set(xlabel="α: 0 trained head, 1 fine-tuned", title=title)
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.suptitle("WiSE-FT: between the trained head and the fine-tuned network")
    return to_png(figure)
