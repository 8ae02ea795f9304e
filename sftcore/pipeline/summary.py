"""The last run in six lines."""

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DataError
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT

MOST_LINES = 6


def summarize() -> list[str]:
    """Where the report is, the test accuracy with its interval, and what the study found.

    Raises:
        DataError: the pipeline has not been run.
    """
    try:
        metrics = read_json(EVALUATE_REPORT / "metrics.json")
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `make`") from error
    test = metrics["test"]
    first = (
        f"Report: {ABLATION_REPORT / 'report.html'}; test accuracy {test['accuracy']:.3f} "
        f"[{test['accuracy_low']:.3f}, {test['accuracy_high']:.3f}], "
        f"{test['num_pictures']} pictures."
    )
    names = ["worth", "overfitting", "helped", "advice", "more_data", "stable"]
    if not verdict["settings"]:
        names.remove("advice")
    lines = [first, *(verdict[name] for name in names if verdict[name])]
    return lines[:MOST_LINES]
