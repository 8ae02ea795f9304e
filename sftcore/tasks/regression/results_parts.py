"""What the report of a run says of numbers on its test split."""

from collections.abc import Mapping
from typing import Any

from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.regression.figures import MOST_SHOWN
from sftcore.tasks.report_words import covers, in_unit, interval, signed

_FIRST = f"The first {MOST_SHOWN} numbers are drawn; the table has all."


def results_parts(metrics: Mapping[str, Any], wanted: float, num_val: int) -> list[Part]:
    """The parts of ``reports/evaluate``.

    Args:
        metrics: see :func:`sftcore.tasks.regression.report.write_report`.
        wanted: coverage of the intervals.
        num_val: validation pictures, which fix them.
    """
    scope = covers(metrics["interval"]["confidence"])
    return [
        _first(metrics, scope),
        _numbers(metrics["test"], scope),
        _intervals(metrics, wanted, num_val),
        _gap(metrics),
        _residuals(),
        _most_wrong(),
    ]


def _first(metrics: Mapping[str, Any], scope: str) -> Part:
    test = metrics["test"]
    words = [
        f"On {test['num_pictures']} test pictures, which had no say in this model: R² "
        f"{interval(test, 'mean_r2')}, mean absolute error {interval(test, 'mean_mae')} and root "
        f"mean squared error {interval(test, 'mean_rmse')}, both in standard deviations of the "
        f"training pictures{_means(test)}. {scope}"
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    worth = metrics["worth"]
    words.append(
        "Against ridge regression on the frozen features, picture by picture: R² "
        f"{signed(worth, 'test_mean_r2')}, mean absolute error better by "
        f"{signed(worth, 'test_mean_mae')} standard deviations."
    )
    shown = {
        "row": "row", "test_mean_r2": "R²", "test_mean_r2_low": "low", "test_mean_r2_high": "high",
        "test_mean_mae": "absolute error", "test_mean_rmse": "root squared error",
    }  # fmt: skip
    names = ("fine_tuned", *metrics["baselines"])
    table = Table(
        "baselines.csv",
        "On the test split, errors in standard deviations; low and high: the interval of R².",
        shown,
        words={name: name.replace("_", " ") for name in names},
    )
    return Part("The model and the rows to beat", tuple(words), (), (table,))


def _means(test: Mapping[str, Any]) -> str:
    count = len(test["numbers"])
    return f" and means over {count} numbers" if count > 1 else ""


def _numbers(test: Mapping[str, Any], scope: str) -> Part:
    lines = tuple(
        f"{name}: mean absolute error {in_unit(of, 'mae')}, root mean squared error "
        f"{in_unit(of, 'rmse')}, R² {in_unit(of, 'r2')}, bias (predicted minus actual) "
        f"{in_unit(of, 'bias')}, in its own unit."
        for name, of in list(test["numbers"].items())[:MOST_SHOWN]
    )
    return Part(
        "Number by number",
        (*lines, scope),
        (
            Figure(
                "predicted.png",
                "Test pictures by predicted and actual number, with the interval of the rule "
                f"around the prediction. {_FIRST}",
                "predictions.csv",
            ),
        ),
        (
            Table(
                "per_number.csv",
                "On the test split, each in its own unit.",
                {
                    "number": "number", "train_std": "std in training", "mae": "absolute error",
                    "mae_low": "low", "mae_high": "high", "rmse": "root squared error",
                    "r2": "R²", "bias": "bias",
                },
                own_digits=("train_std", "mae", "mae_low", "mae_high", "rmse", "bias"),
            ),
        ),
    )  # fmt: skip


def _intervals(metrics: Mapping[str, Any], wanted: float, num_val: int) -> Part:
    lines = tuple(
        f"{name}: ± {of['radius']:.3g}, which held {of['coverage']:.3f} "
        f"[{of['coverage_low']:.3f}, {of['coverage_high']:.3f}] of the test pictures. With so many "
        f"validation pictures the true coverage lies between {of['expected_low']:.3f} and "
        f"{of['expected_high']:.3f} in {metrics['interval']['confidence']:.0%} of draws, if "
        "pictures are independent; the test pictures add luck of their own."
        if of["radius"] < float("inf")
        else f"{name}: {num_val} validation pictures are too few for this coverage, so its "
        "interval holds everything."
        for name, of in list(metrics["intervals"].items())[:MOST_SHOWN]
    )
    return Part(
        "Intervals around the numbers",
        (
            f"Wanted: intervals that hold the number with probability {wanted:g}, each number by "
            f"itself. Their width is fixed on the residuals of {num_val} validation pictures "
            "(split conformal prediction), which also chose the epoch; pictures without any say "
            "would make the promise exact. It holds over all pictures, not at every value.",
            *lines,
        ),
        (
            Figure(
                "intervals.png",
                "How often intervals hold the number on test, against the coverage that was "
                f"wanted. {_FIRST}",
                "intervals.csv",
            ),
        ),
        (
            Table(
                "intervals.csv",
                "A row for each number and level.",
                {
                    "number": "number", "level": "wanted", "radius": "±", "coverage": "held",
                    "coverage_low": "low", "coverage_high": "high",
                },
                own_digits=("radius",),
            ),
        ),
    )  # fmt: skip


def _gap(metrics: Mapping[str, Any]) -> Part:
    return Part(
        "From training to test pictures",
        (
            "R² on training pictures minus that on test pictures: "
            f"{signed(metrics['gap'], 'train_minus_test_mean_r2')}. A gap shows that the model "
            "knows its training pictures better than new ones; whether that does harm is told by "
            "the course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                "R² and mean absolute error by split. Intervals resample each split's own pictures "
                "by groups; only those of the test split speak of new pictures.",
                "generalization_gap.csv",
            ),
        ),
    )


def _residuals() -> Part:
    return Part(
        "Along the range of the predictions",
        ("Bands of unequal height say that one width of interval does not fit all predictions; a "
         "median off zero says that the model is too high or too low there.",),
        (
            Figure(
                "residuals.png",
                f"Actual minus predicted number, along the predictions. {_FIRST}",
                "residuals.csv",
            ),
        ),
        (
            Table(
                "predicted.csv",
                "Means of about as many test pictures each, along the range of the predictions.",
                {
                    "number": "number", "num_rows": "pictures", "predicted": "predicted",
                    "actual": "actual", "actual_std": "std of the actual",
                },
                own_digits=("predicted", "actual", "actual_std"),
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _most_wrong() -> Part:
    return Part(
        "The pictures it is most wrong about",
        figures=(
            Figure(
                "most_wrong.png",
                "Test pictures with the greatest error, each with the number that is farthest off.",
                "most_wrong.csv",
            ),
        ),
        tables=(
            Table(
                "most_wrong.csv",
                "A wrong number is as likely a cause as a hard picture: look. The error is a mean "
                "over the numbers, in standard deviations.",
                {
                    "id": "picture", "error": "error", "number": "number", "actual": "actual",
                    "predicted": "predicted",
                },
                own_digits=("actual", "predicted"),
            ),
        ),
        is_folded=True,
    )  # fmt: skip
