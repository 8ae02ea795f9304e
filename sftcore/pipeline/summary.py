"""The last run in six lines."""

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.repository import from_the_top, make_command
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT, REPORT
from sftcore.tasks.reports import report_of

MOST_LINES = 6


def summarize() -> list[str]:
    """Where the report is, the test result with its interval, and what the study found.

    Raises:
        DataError: the pipeline has not been run.
    """
    first, *others = answers()
    return [f"Report: {from_the_top(REPORT)}; {first[0].lower()}{first[1:]}", *others]


def answers() -> list[str]:
    """The test result with its interval, and what the study found; at most six sentences.

    Raises:
        DataError: the pipeline has not been run.
    """
    try:
        metrics = read_json(EVALUATE_REPORT / "metrics.json")
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `{make_command()}`") from error
    names = [
        "stand_in",
        "worth",
        "overfitting",
        "helped",
        "advice",
        "failures",
        "more_data",
        "stable",
    ]
    if not verdict["settings"] and not verdict["stand_in"]:
        names.remove("advice")
    report = report_of(metrics)
    found = [verdict[name] for name in names if verdict[name]]
    return [report.closing(metrics), *(found or [report.worth_on_test(metrics)])][:MOST_LINES]
