"""The report stage: one page for the whole run, of what the other stages left behind."""

from sftcore.foundations.artifacts import read_json, write_text
from sftcore.foundations.errors import DataError
from sftcore.pipeline.paths import (
    ABLATION_REPORT,
    EVALUATE_REPORT,
    FINETUNE_REPORT,
    LABELS_REPORT,
    MODEL,
    PREPARE_REPORT,
    PREPARED,
    REPORT,
)
from sftcore.pipeline.shown import shown_of
from sftcore.pipeline.summary import answers
from sftcore.reporting.page import Article, Chapter, render_page
from sftcore.reporting.parts import Figure, read_parts
from sftcore.settings.reading import Sections
from sftcore.settings.tracking import TrackingSettings
from sftcore.tasks.reports import report_of
from sftcore.tracking import MODEL_TAG, open_run

_TEST = "The test split"
_CHAPTERS = {
    "The data": PREPARE_REPORT,
    "The labels": LABELS_REPORT,
    "The training": FINETUNE_REPORT,
    _TEST: EVALUATE_REPORT,
    "The study": ABLATION_REPORT,
}


class ReportParams(Sections):
    """What the stage reads."""

    tracking: TrackingSettings = TrackingSettings()


def write_page(params: ReportParams) -> None:
    """Write ``reports/report.html``, and give it to the training's run in MLflow.

    Args:
        params: the section tracking.

    Raises:
        DataError: a stage before this one has not been run.
    """
    chapters = [Chapter(title, path, read_parts(path)) for title, path in _CHAPTERS.items()]
    write_text(REPORT, render_page(_article(), chapters))
    model = read_json(MODEL / "model.json")
    with open_run(
        enabled=params.tracking.enabled,
        experiment=params.tracking.experiment,
        name="report",
        tags={},
        key=(MODEL_TAG, model["model_sha256"]),
        shown=shown_of(report_of(model).name),
    ) as run:
        run.log_artifacts(REPORT, "")


def _article() -> Article:
    try:
        model = read_json(MODEL / "model.json")
        data = read_json(PREPARED / "summary.json")
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `dvc repro`") from error
    splits, backbone, report = data["splits"], model["backbone"], report_of(model)
    examples = report.examples
    question = f"How well does {backbone}, fine-tuned on these {examples}, do on the test split?"
    if verdict["worth"]:  # a study was made
        question = (
            f"Is it worth fine-tuning {backbone} on these {examples}, does it over-fit, what helps?"
        )
    figure = Figure(
        "baselines.png",
        f"The fine-tuned model beside what needs no fine-tuning, on test {examples} that had no "
        f"say in it. Lines: intervals over new test {examples}, for this one model.",
        "baselines.csv",
    )
    return Article(
        title=report.title(data),
        question=(
            f"{question} Trained on {splits['train']}, chosen on {splits['val']} and tested on "
            f"{splits['test']} {examples}."
        ),
        answers=answers(),
        figure=figure,
        chapter=_TEST,
    )
