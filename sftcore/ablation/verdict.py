"""What a study found, in plain words; every sentence comes from the tables.

Each answer is one short sentence with its interval; what stands behind it is in the report's
tables. Nothing here is taken from the screen but the names of what was confirmed.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sftcore.ablation.data_size import Growth, PowerLaw
from sftcore.ablation.effects import BETTER, FAILED, UNCONVERGED, WORSE
from sftcore.ablation.plan import Row
from sftcore.ablation.stability import stability_sentence
from sftcore.foundations.repository import make_command
from sftcore.foundations.yaml_files import flatten
from sftcore.metrics.intervals import Interval
from sftcore.reporting.numbers import difference
from sftcore.settings.grids import BASELINE_ROW, PROBE_ROW
from sftcore.tasks.contract import Task, is_less_better

_MOST_FAILURES = 2  # rows that are named
LINE = 100  # characters that a sentence stays below, to be one line of a terminal


@dataclass(frozen=True)
class Findings:
    """The tables that sentences are made of.

    Attributes:
        rows: of the confirmation.
        worth: see :func:`sftcore.ablation.effects.worth_table`.
        effects: see :func:`sftcore.ablation.effects.effects_table`.
        rise: of loss from the chosen epoch to the last, of the baseline.
        rise_visible: smallest rise that would have been found.
        calibration_rise: likewise of the calibration error; None where there is none.
        gap: the headline score on training pictures minus that on others.
        growth: from about half the pictures to all; None if not asked for.
        laws: of the learning curve.
        stability: see :func:`sftcore.ablation.stability.stability_map`.
        num_screened: rows of the screen.
        metric: that decides.
        confidence: of the intervals.
        task: names what is measured.
        stand_in: name of the network that was trained in place of the user's; empty without one.
    """

    rows: list[Row]
    worth: pd.DataFrame
    effects: pd.DataFrame
    rise: Interval
    rise_visible: float
    calibration_rise: Interval | None
    gap: Interval
    growth: Growth | None
    laws: list[PowerLaw]
    stability: pd.DataFrame
    num_screened: int
    metric: str
    confidence: float
    task: type[Task]
    stand_in: str = ""


NO_VERDICT: dict[str, Any] = {
    "stand_in": "",
    "worth": "",
    "overfitting": "",
    "helped": "",
    "failures": "",
    "more_data": "",
    "stable": "",
    "advice": "",
    "settings": {},
    "evidence": "",
}


def write_verdict(findings: Findings) -> dict[str, Any]:
    """Answers to the questions of a study.

    Returns:
        ``stand_in``, ``worth``, ``overfitting``, ``helped``, ``failures``, ``more_data``,
        ``stable``, ``advice`` (each a sentence, empty where there is nothing to say),
        ``settings`` (what to put into params.yaml, by dotted name) and ``evidence`` (the sentence
        behind the settings).
    """
    settings, evidence = advise(findings)
    if findings.stand_in:
        advice, settings, evidence = _to_try(findings, settings), {}, ""
    else:
        advice = _advice(settings)
    return {
        "stand_in": _stand_in(findings.stand_in),
        "worth": worth_sentence(findings, BASELINE_ROW),
        "overfitting": _overfitting(findings),
        "helped": _helped(findings),
        "failures": _failures(findings),
        "more_data": _more_data(findings),
        "stable": stability_sentence(findings.stability),
        "advice": advice,
        "settings": settings,
        "evidence": evidence,
    }


def worth_sentence(found: Findings, row: str) -> str:
    """What a row is worth over the head alone on the frozen features; more is better."""
    line = _line(found.worth, row, found.metric)
    value, unit, before = _gain(line), found.task.words[found.metric], found.task.before_words
    if line["verdict"] == BETTER:
        return f"Fine-tuning is worth {value} {unit} over {before}."
    if line["verdict"] == WORSE:
        return f"Fine-tuning is worth {value} {unit}: below {before}."
    if line["verdict"] == FAILED:
        return f"Fine-tuning failed in {_failed(line)}: no gain over {before} is claimed."
    if line["verdict"] == UNCONVERGED:
        return f"Fine-tuning's worth: {_unconverged(line)}"
    text = f"No gain seen over {before}: {value} {unit.removesuffix(' of loss')}"
    seen = f"{text} (visible: {line['visible']:.3f})."
    return seen if len(seen) < LINE else f"{text}."


def _overfitting(found: Findings) -> str:
    rise = found.rise
    if rise.num < 2:
        return "Whether it over-fits cannot be said: fewer than two trainings finished."
    text = f"loss rises by {_signed(rise)} after the best epoch"
    if rise.low > 0:
        return f"It over-fits: {text}."
    return f"No over-fitting seen: {text} (visible: {found.rise_visible:.3f})."


def _helped(found: Findings) -> str:
    lines = found.effects[found.effects["metric"] == found.metric]
    if lines.empty:
        return f"None of the {found.num_screened} rows looked better than the recipe in the screen."
    better = _best(lines[lines["verdict"] == BETTER], found.metric)
    if better is not None:
        return (
            f"Confirmed better than the recipe: {better['row']}, {_change(better, found.metric)}."
        )
    if (lines["verdict"] == UNCONVERGED).any():
        return f"What helps: {_unconverged(_least_converged(found, lines))}"
    best = _best(lines[lines["num_failed"] == 0], found.metric)
    if best is None:
        return "No help seen: every row that was confirmed failed in some replicate."
    return (
        f"No help seen: best {best['row']}, {_change(best, found.metric)}, visible from "
        f"{best['visible']:.3f}."
    )


def _least_converged(found: Findings, lines: pd.DataFrame) -> pd.Series:
    """The row or the recipe, whichever was more often best at its end."""
    own = lines.loc[lines["num_on_last_epoch"].idxmax()]
    recipe = _line(found.worth, BASELINE_ROW, found.metric)
    return max((own, recipe), key=lambda line: line["num_on_last_epoch"])


def _failures(found: Findings) -> str:
    lines = found.effects[found.effects["metric"] == found.metric]
    lines = lines[lines["num_failed"] > 0].sort_values("num_failed", ascending=False, kind="stable")
    parts = [f"{line['row']} {_failed(line)}" for _, line in lines.iterrows()]
    more = f", and {len(parts) - _MOST_FAILURES} more" if len(parts) > _MOST_FAILURES else ""
    return f"Failed: {', '.join(parts[:_MOST_FAILURES])}{more}." if parts else ""


def _more_data(found: Findings) -> str:
    growth, task = found.growth, found.task
    if growth is None:
        return ""
    name = task.words[task.scores[0]]
    text = f"From {growth.fraction:.0%} to all: {name} {_signed(growth.gain)}"
    law = next((law for law in found.laws if law.row == BASELINE_ROW), None)
    if law is None or not law.is_supported:
        return f"{text}; beyond that nothing can be said."
    return f"{text}; doubled, by power law: {_signed(law.doubling)}."


def advise(found: Findings) -> tuple[dict[str, Any], str]:
    """Settings that the confirmation supports, and the sentence behind them.

    The confirmed row with the best mean, if one is better than the recipe. Whatever is kept must
    be worth something over the features as they are; if not, they are advised. Where trainings may
    not have converged, nothing is.
    """
    lines = found.effects[found.effects["metric"] == found.metric]
    better = _best(lines[lines["verdict"] == BETTER], found.metric)
    kept = BASELINE_ROW if better is None else str(better["row"])
    worth = _line(found.worth, kept, found.metric)
    if worth["verdict"] == UNCONVERGED:
        return {}, ""
    if worth["verdict"] != BETTER:
        return _probe_settings(found.rows), worth_sentence(found, kept)
    if better is None:
        return {}, ""
    changes = next(row.changes for row in found.rows if row.name == kept)
    return dict(changes), f"{kept}: {_change(better, found.metric)} against the recipe."


def _probe_settings(rows: list[Row]) -> dict[str, Any]:
    """What makes the recipe the probe that was measured."""
    recipe = next(row for row in rows if row.name == BASELINE_ROW)
    held = flatten({"model": recipe.model.model_dump(), "train": recipe.train.model_dump()})
    probe = next(row for row in rows if row.name == PROBE_ROW)
    return {name: value for name, value in probe.changes.items() if held[name] != value}


def _advice(settings: dict[str, Any]) -> str:
    if not settings:
        return "Nothing was confirmed that would be a reason to change a setting."
    listing = ", ".join(f"{name} {value}" for name, value in settings.items())
    if len(f"Advice: {listing} (`make advice`).") >= LINE:  # an example's command may be longer
        listing = "see the report"
    return f"Advice: {listing} (`{make_command('advice')}`)."


def _stand_in(backbone: str) -> str:
    if not backbone:
        return ""
    name = backbone.rsplit("/", 1)[-1]
    return f"The study trained {name} in place of your network, and speaks of that one alone."


def _to_try(found: Findings, settings: dict[str, Any]) -> str:
    """What a study of another network gives a reason to try; it confirms nothing for the user's."""
    is_row = found.effects["verdict"].eq(BETTER).any()
    if not settings or not is_row:
        return "Nothing was confirmed that would be a reason to try another setting."
    listing = ", ".join(f"{name} {value}" for name, value in settings.items())
    text = f"Worth trying on your own network: {listing}."
    return text if len(text) < LINE else "Worth trying on your own network: see the report."


def _line(table: pd.DataFrame, row: str, metric: str) -> pd.Series:
    return table[(table["row"] == row) & (table["metric"] == metric)].iloc[0]


def _best(lines: pd.DataFrame, metric: str) -> pd.Series | None:
    """The line with the best mean difference."""
    if lines.empty or lines["difference"].isna().all():
        return None
    least = is_less_better(metric)
    best = lines["difference"].idxmin() if least else lines["difference"].idxmax()
    return lines.loc[best]


def _gain(line: pd.Series) -> str:
    """The difference with its interval, such that more is better."""
    values = [line["difference"], line["low"], line["high"]]
    if is_less_better(line["metric"]):
        values = [-line["difference"], -line["high"], -line["low"]]
    return difference(*values)


def _change(line: pd.Series, metric: str) -> str:
    name = metric.replace("_", " ").replace("f1", "F1")
    return f"{name} {difference(line['difference'], line['low'], line['high'])}"


def _signed(found: Interval) -> str:
    return difference(found.mean, found.low, found.high)


def _failed(line: pd.Series) -> str:
    return f"{line['num_failed']} of {line['num_replicates']} (rate ≤ {line['failure_bound']:.0%})"


def _unconverged(line: pd.Series) -> str:
    return (
        f"no verdict, {line['num_on_last_epoch']} of {line['num_replicates']} trainings were best "
        "at their end; raise train.epochs."
    )
