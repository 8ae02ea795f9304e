"""What the report of a run says of its test split."""

from collections.abc import Mapping
from typing import Any

from sftcore.metrics.rows_to_beat import title_of
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.report_words import covers, interval, signed


def results_parts(metrics: Mapping[str, Any], examples: str = "pictures") -> list[Part]:
    """The parts of ``reports/evaluate``, without that of the examples that are most wrong.

    Args:
        metrics: see :func:`sftcore.tasks.classification.report.write_report`.
        examples: what examples are called.
    """
    scope = covers(metrics["interval"]["confidence"], examples)
    return [
        _first(metrics, scope, examples),
        _gap(metrics, examples),
        _calibration(metrics, examples),
        _classes(scope, examples),
    ]


def _first(metrics: Mapping[str, Any], scope: str, examples: str) -> Part:
    test = metrics["test"]
    more = f"MCC {interval(test, 'mcc')}, " if "mcc" in test else ""
    words = [
        f"On {test[f'num_{examples}']} test {examples}, which had no say in this model: accuracy "
        f"{interval(test, 'accuracy')}, balanced accuracy {interval(test, 'balanced_accuracy')}, "
        f"macro F1 {interval(test, 'macro_f1')}, {more}loss {interval(test, 'nll')} nats. {scope}"
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    worth, one = metrics["worth"], examples.removesuffix("s")
    words.append(
        f"Against logistic regression on the frozen features, {one} by {one}: accuracy "
        f"{signed(worth, 'test_accuracy')}, loss better by {signed(worth, 'test_nll')} nats."
    )
    shown = {
        "row": "row", "test_accuracy": "accuracy", "test_accuracy_low": "low",
        "test_accuracy_high": "high", "test_balanced_accuracy": "balanced accuracy",
        "test_macro_f1": "macro F1", **({"test_mcc": "MCC"} if more else {}), "test_nll": "loss",
    }  # fmt: skip
    names = ("fine_tuned", *metrics["baselines"])
    return Part(
        "The model and the rows to beat",
        tuple(words),
        (),  # its figure stands at the top of the report
        (
            Table(
                "baselines.csv",
                "On the test split; low and high: the interval of the accuracy.",
                shown,
                words={name: title_of(name) for name in names},
            ),
        ),
    )


def _gap(metrics: Mapping[str, Any], examples: str) -> Part:
    gap = metrics["gap"]
    return Part(
        f"From training to test {examples}",
        (
            f"Accuracy on training {examples} minus that on test {examples}: "
            f"{signed(gap, 'train_minus_test_accuracy')}. A gap shows that the model knows its "
            f"training {examples} better than new ones; whether that does harm is told by the "
            "course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                f"Accuracy and loss by split. Intervals resample each split's own {examples} by "
                f"groups; only those of the test split speak of new {examples}.",
                "generalization_gap.csv",
            ),
        ),
    )  # fmt: skip


def _calibration(metrics: Mapping[str, Any], examples: str) -> Part:
    test, scaled = metrics["test"], metrics["temperature"]
    return Part(
        "Is a confidence of 80 % right in 80 % of the cases?",
        (
            f"Calibration error {test['ece']:.3f}; a perfectly calibrated model shows up to "
            f"{test['ece_if_perfect_high']:.3f} on as many {examples}. At temperature "
            f"{scaled['temperature']:.2f}, which validation chose, it is {scaled['test_ece']:.3f} "
            f"(up to {scaled['test_ece_if_perfect_high']:.3f}).",
        ),
        (
            Figure(
                "reliability.png", "Accuracy by confidence on the test split, as trained and at "
                "the temperature.", "reliability.csv",
            ),
        ),
    )  # fmt: skip


def _classes(scope: str, examples: str) -> Part:
    return Part(
        "Class by class",
        figures=(
            Figure("per_class.png", f"F1 of every class. {scope}", "per_class.csv"),
            Figure(
                "confusion.png", f"Test {examples} by true and predicted class.",
                "confusion_matrix.csv",
            ),
        ),
        tables=(
            Table(
                "per_class.csv",
                "On the test split.",
                {
                    "class": "class", "support": examples, "precision": "precision",
                    "recall": "recall", "f1": "F1", "f1_low": "low", "f1_high": "high",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip
