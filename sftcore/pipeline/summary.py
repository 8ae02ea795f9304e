"""The last run in six lines."""

from typing import Any

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DataError
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT, REPORT

MOST_LINES = 6


def summarize() -> list[str]:
    """Where the report is, the test accuracy with its interval, and what the study found.

    Raises:
        DataError: the pipeline has not been run.
    """
    first, *others = answers()
    return [f"Report: {REPORT}; {first[0].lower()}{first[1:]}", *others]


def answers() -> list[str]:
    """The test accuracy with its interval, and what the study found; at most six sentences.

    Raises:
        DataError: the pipeline has not been run.
    """
    try:
        metrics = read_json(EVALUATE_REPORT / "metrics.json")
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `make`") from error
    names = ["worth", "overfitting", "helped", "advice", "failures", "more_data", "stable"]
    if not verdict["settings"]:
        names.remove("advice")
    first = _test_accuracy(metrics["test"])
    found = [verdict[name] for name in names if verdict[name]]
    return [first, *(found or [_worth_on_test(metrics["worth"])])][:MOST_LINES]


def _worth_on_test(worth: dict[str, float]) -> str:
    """What stands in for the answer of a study that was left out: one model on one split."""
    value, low, high = (worth[f"test_accuracy{end}"] for end in ("", "_low", "_high"))
    return (
        f"Over logistic regression on its features, on test: accuracy {value:+.3f} "
        f"[{low:+.3f}, {high:+.3f}]."
    )


def _test_accuracy(test: dict[str, Any]) -> str:
    return (
        f"Test accuracy {test['accuracy']:.3f} [{test['accuracy_low']:.3f}, "
        f"{test['accuracy_high']:.3f}], {test['num_pictures']} pictures."
    )
