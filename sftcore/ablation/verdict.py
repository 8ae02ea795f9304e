"""What a study found, in plain words; every sentence comes from the tables."""

from typing import Any

import pandas as pd

from sftcore.ablation.data_size import PowerLaw
from sftcore.ablation.plan import REGULARIZATION, STABILITY, Row
from sftcore.ablation.stability import spread_sentence, stability_sentence
from sftcore.grids import BASELINE_ROW

_OVERFIT_GAP = 0.05  # accuracy; a smaller gap is not called over-fitting


def write_verdict(
    rows: list[Row],
    gap: dict[str, float],
    effects: pd.DataFrame,
    left_out: pd.DataFrame,
    laws: list[PowerLaw],
    stability: pd.DataFrame,
    spread: pd.DataFrame,
    confidence: float,
) -> dict[str, Any]:
    """Answers to the questions of a study.

    Args:
        rows: of the study.
        gap: see :func:`sftcore.ablation.effects.baseline_gap`.
        effects: see :func:`sftcore.ablation.effects.regularization_effects`.
        left_out: see :func:`sftcore.ablation.effects.leave_one_out_effects`.
        laws: see :func:`sftcore.ablation.data_size.fit_power_laws`.
        stability: see :func:`sftcore.ablation.stability.stability_map`.
        spread: see :func:`sftcore.ablation.stability.seed_spread`.
        confidence: of the intervals.

    Returns:
        ``overfitting``, ``helped``, ``needed``, ``more_data``, ``stable``, ``spread``,
        ``set`` (each a sentence or two, empty where the grid does not ask) and
        ``settings`` (what to put into params.yaml, by dotted name).
    """
    settings = {**_best_row(rows, effects), **_best_rate(rows, stability)}
    return {
        "overfitting": _overfitting(gap, confidence),
        "helped": _helped(effects, confidence),
        "needed": _needed(left_out),
        "more_data": _more_data(laws, effects, confidence),
        "stable": stability_sentence(stability),
        "spread": spread_sentence(spread, confidence),
        "set": _advice(settings, effects),
        "settings": settings,
    }


def _overfitting(gap: dict[str, float], confidence: float) -> str:
    if gap["num_seeds"] < 2:
        return "Whether it over-fits cannot be said: fewer than two baseline runs finished."
    numbers = (
        f"without regularization, training accuracy is {gap['train_accuracy']:.3f} and validation "
        f"accuracy {gap['val_accuracy']:.3f} at the chosen epoch: a gap of {gap['gap']:.3f} "
        f"({confidence:.0%} interval {gap['gap_low']:.3f} to {gap['gap_high']:.3f}, "
        f"{gap['num_seeds']:.0f} seeds)"
    )
    rise = f"; by the last epoch validation loss stands {gap['loss_rise']:.3f} nats above its least"
    if gap["gap_low"] > _OVERFIT_GAP:
        return f"It over-fits: {numbers}{rise}."
    if gap["gap"] > _OVERFIT_GAP:
        return f"It may over-fit, but the seeds differ too much to be sure: {numbers}{rise}."
    return f"It does not over-fit noticeably: {numbers}{rise}."


def _helped(effects: pd.DataFrame, confidence: float) -> str:
    loss = effects[effects["metric"] == "val_loss"].set_index("row")
    accuracy = effects[effects["metric"] == "val_accuracy"].set_index("row")
    better = loss[loss["verdict"] == "better"].sort_values("difference")
    worse = loss[loss["verdict"] == "worse"].sort_values("difference")
    parts = [f"{name} ({_change(loss.loc[name], accuracy.loc[name])})" for name in better.index]
    if parts:
        text = "Beyond noise these lower validation loss: " + "; ".join(parts) + "."
    else:
        best = loss["difference"].idxmin() if loss["difference"].notna().any() else None
        text = "Nothing lowers validation loss beyond noise"
        if best is not None:
            text += f"; the nearest is {best} ({_change(loss.loc[best], accuracy.loc[best])})"
        text += "."
    if len(worse):
        text += f" Beyond noise these raise it: {', '.join(worse.index)}."
    return f"{text} Intervals hold together at {confidence:.0%} over {len(loss)} rows."


def _needed(left_out: pd.DataFrame) -> str:
    loss = left_out[left_out["metric"] == "val_loss"].set_index("row")
    if loss.empty:
        return ""
    worse, better = (loss[loss["verdict"] == verdict] for verdict in ("worse", "better"))
    parts = []
    if len(worse):
        parts.append(f"beyond noise it is worse {', '.join(worse.index)}")
    if len(better):
        parts.append(f"beyond noise it is better {', '.join(better.index)}")
    if not parts:
        parts.append("leaving out any single one of them changes validation loss within noise only")
    return f"Of all together: {'; '.join(parts)}."


def _more_data(laws: list[PowerLaw], effects: pd.DataFrame, confidence: float) -> str:
    law = next((law for law in laws if law.row == BASELINE_ROW), None)
    if law is None:
        return ""
    gain, low, high = (100 * value for value in law.doubling)
    text = (
        f"Doubling the {law.num_train:.0f} training pictures is worth about {gain:+.1f} points of "
        f"accuracy ({confidence:.0%} interval {low:+.1f} to {high:+.1f}, {law.num_seeds} seeds, "
        f"error falls as n^-{law.exponent[0]:.2f})"
    )
    accuracy = effects[effects["metric"] == "val_accuracy"].set_index("row")
    loss = effects[effects["metric"] == "val_loss"].set_index("row")
    if loss["difference"].notna().any():
        best = loss["difference"].idxmin()
        line = accuracy.loc[best]
        worth, least, most = (100 * line[name] for name in ("difference", "low", "high"))
        text += (
            f"; the best regularizer, {best}, is worth {worth:+.1f} ({least:+.1f} to {most:+.1f})"
        )
    return f"{text}. The first number is an extrapolation to data that was not seen."


def _change(loss: pd.Series, accuracy: pd.Series) -> str:
    return (
        f"loss {loss['difference']:+.3f} [{loss['low']:+.3f}, {loss['high']:+.3f}], "
        f"accuracy {accuracy['difference']:+.3f} [{accuracy['low']:+.3f}, {accuracy['high']:+.3f}]"
    )


def _best_row(rows: list[Row], effects: pd.DataFrame) -> dict[str, Any]:
    """Changes of the row with the least validation loss among those better beyond noise."""
    better = effects[(effects["metric"] == "val_loss") & (effects["verdict"] == "better")]
    if better.empty:
        return {}
    name = better.loc[better["difference"].idxmin(), "row"]
    return dict(next(r.changes for r in rows if r.family == REGULARIZATION and r.name == name))


def _best_rate(rows: list[Row], stability: pd.DataFrame) -> dict[str, Any]:
    """The stable learning rate, schedule and answer with the least validation loss."""
    stable = stability[stability["is_stable"] & stability["val_loss"].notna()]
    if stable.empty:
        return {}
    best = stable.loc[stable["val_loss"].idxmin()]
    name = f"{best['schedule']} {best['learning_rate']:g} {best['answer']}"
    return dict(next(r.changes for r in rows if r.family == STABILITY and r.name == name))


def _advice(settings: dict[str, Any], effects: pd.DataFrame) -> str:
    if not settings:
        return "Nothing measured here is a reason to change a setting."
    listing = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"Chosen on validation: {listing}."
