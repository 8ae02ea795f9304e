"""What the report of a run says of labels on its test split."""

from collections.abc import Mapping
from typing import Any

from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.report_words import covers, interval, signed

_MAP = "mean_average_precision"


def results_parts(metrics: Mapping[str, Any]) -> list[Part]:
    """The parts of ``reports/evaluate``.

    Args:
        metrics: see :func:`sftcore.tasks.multilabel.report.write_report`.
    """
    scope = covers(metrics["interval"]["confidence"])
    return [
        _first(metrics, scope),
        _gap(metrics),
        _calibration(metrics["test"]),
        _labels(scope),
        _most_wrong(),
    ]


def _first(metrics: Mapping[str, Any], scope: str) -> Part:
    test = metrics["test"]
    words = [
        f"On {test['num_pictures']} test pictures, which had no say in this model: mean average "
        f"precision {interval(test, _MAP)}, macro F1 {interval(test, 'macro_f1')}, micro F1 "
        f"{interval(test, 'micro_f1')}, every label right on {interval(test, 'exact_match')} of "
        f"the pictures, wrong decisions {interval(test, 'hamming_loss')}, loss "
        f"{interval(test, 'nll')} nats per label. {scope} Resamples rank a picture beside its own "
        "copies, which lifts the interval of average precision a little.",
        "A label is predicted from a threshold of its own, at which its F1 on validation is "
        "greatest; all but average precision and loss depend on it. Test pictures had no say in "
        f"the thresholds. A picture has {test['labels_per_picture']:.2f} labels on average, and "
        f"{test['predicted_per_picture']:.2f} are predicted.",
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    worth = metrics["worth"]
    words.append(
        "Against logistic regression on the frozen features, picture by picture and each with the "
        f"thresholds of its own validation: mean average precision {signed(worth, f'test_{_MAP}')},"
        f" macro F1 {signed(worth, 'test_macro_f1')}, loss better by {signed(worth, 'test_nll')} "
        "nats per label."
    )
    shown = {
        "row": "row", f"test_{_MAP}": "mAP", f"test_{_MAP}_low": "low", f"test_{_MAP}_high": "high",
        "test_macro_f1": "macro F1", "test_micro_f1": "micro F1", "test_exact_match": "exact match",
        "test_hamming_loss": "Hamming loss", "test_nll": "loss",
    }  # fmt: skip
    names = ("fine_tuned", *metrics["baselines"])
    caption = "On the test split; low and high: the interval of mean average precision (mAP)."
    table = Table(
        "baselines.csv", caption, shown, words={name: name.replace("_", " ") for name in names}
    )
    return Part("The model and the rows to beat", tuple(words), (), (table,))


def _gap(metrics: Mapping[str, Any]) -> Part:
    return Part(
        "From training to test pictures",
        (
            "Mean average precision on training pictures minus that on test pictures: "
            f"{signed(metrics['gap'], f'train_minus_test_{_MAP}')}. A gap shows that the model "
            "knows its training pictures better than new ones; whether that does harm is told by "
            "the course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                "Mean average precision and loss by split. Intervals resample each split's own "
                "pictures by groups; only those of the test split speak of new pictures.",
                "generalization_gap.csv",
            ),
        ),
    )


def _calibration(test: Mapping[str, float]) -> Part:
    return Part(
        "Is a label of 80 % present in 80 % of the cases?",
        (
            f"Calibration error over the decisions of all labels {test['ece']:.3f}; a perfectly "
            f"calibrated model shows up to {test['ece_if_perfect_high']:.3f} on as many pictures, "
            "if the labels of a picture are independent given its probabilities.",
        ),
        (
            Figure(
                "reliability.png",
                "How often labels are present by their probability, on the test split.",
                "reliability.csv",
            ),
        ),
    )


def _labels(scope: str) -> Part:
    return Part(
        "Label by label",
        figures=(
            Figure(
                "per_label.png",
                f"Average precision and F1 of every label. {scope}",
                "per_label.csv",
            ),
        ),
        tables=(
            Table(
                "per_label.csv",
                "On the test split; low and high: the interval of the average precision.",
                {
                    "label": "label", "support": "pictures", "average_precision": "AP",
                    "average_precision_low": "low", "average_precision_high": "high",
                    "threshold": "threshold", "precision": "precision", "recall": "recall",
                    "f1": "F1",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _most_wrong() -> Part:
    return Part(
        "The pictures it is most wrong about",
        figures=(
            Figure("most_wrong.png", "Test pictures with the greatest loss.", "most_wrong.csv"),
        ),
        tables=(
            Table(
                "most_wrong.csv",
                "A wrong label is as likely a cause as a hard picture: look.",
                {"id": "picture", "labels": "labels", "predicted": "predicted", "loss": "loss"},
            ),
        ),
        is_folded=True,
    )
