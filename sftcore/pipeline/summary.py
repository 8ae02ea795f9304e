"""The last run in five lines."""

from sftcore.artifacts import read_json
from sftcore.errors import DataError
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT


def summarize() -> list[str]:
    """Where the report is, the test accuracy with its interval, and what the ablation found.

    Raises:
        DataError: the pipeline has not been run.
    """
    try:
        test = read_json(EVALUATE_REPORT / "metrics.json")["test"]
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `make`") from error
    return [
        f"Report: {ABLATION_REPORT / 'report.html'} (figures of the model: {EVALUATE_REPORT}/)",
        f"Test accuracy {test['accuracy']:.3f}, 95 % interval {test['accuracy_low']:.3f} to "
        f"{test['accuracy_high']:.3f}, {test['num_pictures']} pictures.",
        verdict["overfitting"],
        verdict["helped"],
        f"{verdict['stable']} {verdict['set']}",
    ]
