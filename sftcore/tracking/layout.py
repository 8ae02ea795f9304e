"""Which experiments of MLflow there are, and how their pages open.

The trainings have an experiment of their own, so that its list has one line a training. What one
study compares goes into two others: the studies, and the cells that they are made of.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

TRAININGS, STUDIES, CELLS = "trainings", "studies", "cells"
_WORKFLOW = "machine_learning"  # else MLflow shows the menu of its language models
_NARROW, _LETTER = 90, 6  # pixels of a column, at least and for each letter of its full name
_VIEW_TAG = "mlflow.sharedViewState."
_KIND_TAG = "mlflow.experimentKind"  # else MLflow opens its pages for language models
NOTE_TAG = "mlflow.note.content"
PARENT_TAG = "mlflow.parentRunId"


_NOTES = {
    TRAININGS: "One run a training: its curves, its test, its report.",
    STUDIES: "One run a study of what helps; its description links to its cells.",
    CELLS: "Short trainings that studies compare; one run serves every study that needs it.",
}


@dataclass(frozen=True)
class Shown:
    """What the lists show of a task.

    Attributes:
        headline: numbers of a training, in their order.
        score: of the task, whose curves are drawn and whose worth is listed.
    """

    headline: tuple[str, ...]
    score: str


@dataclass(frozen=True)
class _Page:
    """What an experiment shows when it is opened by its view.

    Attributes:
        title: of the view.
        columns: of its list, besides the name and the time.
        curves: metrics whose charts come first, drawn by step.
    """

    title: str
    columns: tuple[str, ...]
    curves: tuple[str, ...]


_SUFFIXES = {TRAININGS: "", STUDIES: "-studies", CELLS: "-cells"}


def _page(role: str, shown: Shown) -> _Page:
    """What an experiment of a role shows of a task."""
    score = shown.score
    curves = ("train/loss", "val/loss", f"train/{score}", f"val/{score}")
    if role == TRAININGS:
        numbers = (f"metrics.`{name}`" for name in shown.headline)
        return _Page(
            "Trainings",
            ("attributes.`Dataset`", *numbers, "attributes.`Models`"),
            curves,
        )
    if role == STUDIES:
        worth = f"study/worth_{score}"
        names = (worth, f"{worth}_low", f"{worth}_high", "study/worth_loss", "study/loss_rise",
                 "study/gap")  # fmt: skip
        return _Page("Studies", tuple(f"metrics.`{name}`" for name in names), ())
    columns = ("tags.`sft.family`", "tags.`sft.row`", "params.`seed`", f"metrics.`judged/{score}`",
               "metrics.`judged/loss`", "metrics.`time/seconds`")  # fmt: skip
    return _Page("Cells", columns, curves)


def experiment_of(trainings: str, role: str) -> str:
    """Name of an experiment.

    Args:
        trainings: name of that of the trainings, ``tracking.experiment``.
        role: :data:`TRAININGS`, :data:`STUDIES` or :data:`CELLS`.
    """
    return trainings + _SUFFIXES[role]


def experiment_tags(role: str, experiment_id: str, shown: Shown | None) -> dict[str, str]:
    """Tags that make MLflow open an experiment as its view, and describe it.

    Args:
        role: see :func:`experiment_of`.
        experiment_id: MLflow's.
        shown: of the task; where it is not known, the view is left to whoever knows it.
    """
    links = (
        f"[with its numbers]({runs_page(experiment_id, role)}) · "
        f"[charts]({runs_page(experiment_id, role, is_chart=True)})"
    )
    tags = {
        _KIND_TAG: "custom_model_development",
        NOTE_TAG: f"{_NOTES[role]} The list {links}.",
    }
    if shown is None:
        return tags
    page = _page(role, shown)
    view = {"name": page.title, "createdAt": 0, "updatedAt": 0, "state": json.dumps(_state(page))}
    return tags | {_VIEW_TAG + role: json.dumps(view)}


def _state(page: _Page) -> dict[str, Any]:
    """The state of MLflow's page of runs: the children of older stores are left out."""
    section = str(uuid5(NAMESPACE_URL, f"{page.title} curves"))
    charts = [
        {
            "type": "LINE",
            "uuid": str(uuid5(NAMESPACE_URL, f"{page.title} {name}")),
            "metricSectionId": section,
            "metricKey": name,
            "displayName": name,
            "deleted": False,
            "isGenerated": True,
            "runsCountToCompare": 10,
            "lineSmoothness": 0,
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "range": {},
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
        for name in page.curves
    ]
    sections = [{"uuid": section, "name": "curves", "display": True, "isReordered": False,
                 "deleted": False, "isGenerated": False}]  # fmt: skip
    shown = {"compareRunCharts": charts, "compareRunSections": sections} if charts else {}
    return {
        "searchFilter": f"tags.`{PARENT_TAG}` IS NULL",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(page.columns),
        "columnOrder": list(page.columns),
        "columnWidths": {name: max(_NARROW, _LETTER * len(name)) for name in page.columns},
        **shown,
    }


def runs_page(
    experiment_id: str, view: str = "", *, is_chart: bool = False, search: str = ""
) -> str:
    """Address of a list of runs within MLflow's pages.

    Args:
        experiment_id: MLflow's.
        view: one of the roles, for the columns and charts of its view.
        is_chart: whether it opens on the charts.
        search: filter in MLflow's language; a view has one of its own.
    """
    asked = {"viewStateShareKey": view, "compareRunsMode": "CHART" if is_chart else "",
             "searchFilter": search, "workflowType": _WORKFLOW}  # fmt: skip
    query = "&".join(f"{name}={quote(value)}" for name, value in asked.items() if value)
    return f"#/experiments/{experiment_id}/runs?{query}"


def run_page(experiment_id: str, run_id: str) -> str:
    """Address of a run within MLflow's pages."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType={_WORKFLOW}"


def compare_page(experiment_id: str, run_ids: list[str]) -> str:
    """Address of a comparison of runs within MLflow's pages."""
    runs, experiments = quote(json.dumps(run_ids)), quote(json.dumps([experiment_id]))
    return f"#/compare-runs?runs={runs}&experiments={experiments}"
