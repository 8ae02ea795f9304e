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
        metrics = read_json(EVALUATE_REPORT / "metrics.json")
        verdict = read_json(ABLATION_REPORT / "verdict.json")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `make`") from error
    test, confidence = metrics["test"], metrics["interval"]["confidence"]
    return [
        f"Report: {ABLATION_REPORT / 'report.html'} (figures of the model: {EVALUATE_REPORT}/)",
        f"Test accuracy {test['accuracy']:.3f}, {confidence:.0%} interval "
        f"{test['accuracy_low']:.3f} to {test['accuracy_high']:.3f}, {test['num_pictures']} "
        "pictures.",
        verdict["overfitting"],
        f"{verdict['helped']} {verdict['more_data']}".strip(),
        f"{verdict['stable']} {verdict['set']}",
    ]
