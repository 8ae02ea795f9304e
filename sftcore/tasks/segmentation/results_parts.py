"""What the report of a run says of masks on its test split."""

from collections.abc import Mapping
from typing import Any

from sftcore.metrics.rows_to_beat import title_of
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.report_words import covers, interval, signed


def results_parts(metrics: Mapping[str, Any]) -> list[Part]:
    """The parts of ``reports/evaluate``.

    Args:
        metrics: see :func:`sftcore.tasks.segmentation.report.write_report`.
    """
    scope = covers(metrics["interval"]["confidence"])
    return [
        _first(metrics, scope),
        _gap(metrics),
        _pictures(),
        _classes(metrics, scope),
        _calibration(metrics),
    ]


def _first(metrics: Mapping[str, Any], scope: str) -> Part:
    test, pixels = metrics["test"], metrics["pixels"]
    words = [
        f"On {test['num_pictures']} test pictures, which had no say in this model: mean IoU "
        f"{interval(test, 'mean_iou')}, mean Dice {interval(test, 'mean_dice')}, right pixels "
        f"{interval(test, 'pixel_accuracy')}, boundary F1 {interval(test, 'boundary_f1')}, loss "
        f"{interval(test, 'nll')} nats per pixel. {scope}",
        "IoU of a class: the pixels that are both truly and predicted of it, over those that are "
        "one or the other, of all pictures together. The mean is over the classes that occur in "
        "truth or prediction, so a resample without a class has one fewer. Pictures are measured "
        f"in the square that the network sees, {pixels['side']} by {pixels['side']} pixels; pixels "
        "without a label do not count. A boundary pixel is right if the other mask has one of the "
        f"same class nearer than {pixels['boundary_tolerance']:.2f} pixels.",
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    if "paired" in metrics:
        words.append(_against_linear_head(metrics))
    shown = {
        "row": "row", "test_mean_iou": "mean IoU", "test_mean_iou_low": "low",
        "test_mean_iou_high": "high", "test_mean_dice": "mean Dice",
        "test_pixel_accuracy": "right pixels", "test_boundary_f1": "boundary F1",
        "test_nll": "loss",
    }  # fmt: skip
    table = Table(
        "baselines.csv",
        "On the test split; low and high: the interval of the mean IoU.",
        shown,
        words={name: title_of(name) for name in ("fine_tuned", *metrics["baselines"])},
    )
    return Part("The model and the rows to beat", tuple(words), (), (table,))


def _against_linear_head(metrics: Mapping[str, Any]) -> str:
    worth, paired = metrics["worth"], metrics["paired"]
    return (
        "Against a linear head on the frozen maps from stride 16 on, on the same resamples: mean "
        f"IoU {signed(worth, 'test_mean_iou')}, mean Dice {signed(worth, 'test_mean_dice')}, "
        f"boundary F1 {signed(worth, 'test_boundary_f1')}, loss better by "
        f"{signed(worth, 'test_nll')} nats per pixel. Of {paired['num_pictures']:.0f} pictures, "
        f"{paired['num_better']:.0f} have a higher mean IoU of their own with the fine-tuned model "
        f"and {paired['num_worse']:.0f} with the linear head. Answers of both are upsampled to the "
        "pixels; where those of the network are finer, that is a part of the difference."
    )


def _gap(metrics: Mapping[str, Any]) -> Part:
    return Part(
        "From training to test pictures",
        (
            "Mean IoU on training pictures minus that on test pictures: "
            f"{signed(metrics['gap'], 'train_minus_test_mean_iou')}. A gap shows that the model "
            "knows its training pictures better than new ones; whether that does harm is told by "
            "the course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                "Mean IoU and loss by split. Intervals resample each split's own pictures by "
                "groups; only those of the test split speak of new pictures.",
                "generalization_gap.csv",
            ),
        ),
    )


def _pictures() -> Part:
    return Part(
        "Pictures, from the worst to the best",
        (
            "A picture's own mean IoU is over the classes that are true or predicted in it: a few "
            "wrong pixels of a class that it does not show count as much as a class that is "
            "missed. A wrong label is as likely a cause as a hard picture: look.",
        ),
        figures=(
            Figure(
                "pictures.png",
                "Test pictures with their true and their predicted masks.",
                "pictures.csv",
            ),
        ),
    )


def _classes(metrics: Mapping[str, Any], scope: str) -> Part:
    tolerance = metrics["pixels"]["boundary_tolerance"]
    return Part(
        "Class by class",
        figures=(
            Figure(
                "per_class.png",
                f"IoU and boundary F1 (within {tolerance:.2f} pixels) of every class. {scope}",
                "per_class.csv",
            ),
            Figure(
                "confusion.png",
                "Labelled test pixels by true and predicted class.",
                "confusion.csv",
            ),
        ),
        tables=(
            Table(
                "per_class.csv",
                "On the test split; low and high: the interval of the IoU. Share: of the labelled "
                "pixels.",
                {
                    "class": "class", "num_pictures": "pictures", "share": "share", "iou": "IoU",
                    "iou_low": "low", "iou_high": "high", "dice": "Dice",
                    "precision": "precision", "recall": "recall", "boundary_f1": "boundary F1",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _calibration(metrics: Mapping[str, Any]) -> Part:
    test, scaled = metrics["test"], metrics["temperature"]
    num_groups = int(test["num_groups"])
    # All signs of the wild bootstrap are equal so often, and then it gives the error itself.
    is_blind = 2.0 ** (1 - num_groups) > 1 - metrics["interval"]["confidence"]
    few = " So few groups cannot show that an error is more than luck." if is_blind else ""
    return Part(
        "Is a confidence of 80 % right in 80 % of the pixels?",
        (
            f"Calibration error of the pixels {test['ece']:.3f}. Pixels of a picture are right or "
            f"wrong together, so luck is counted by the {num_groups} groups of test pictures: with "
            "as much of it, a perfectly calibrated model shows up to "
            f"{test['ece_if_perfect_high']:.3f}.{few} At temperature "
            f"{scaled['temperature']:.2f}, which {scaled['num_pixels']} validation pixels chose, "
            f"the error is {scaled['test_ece']:.3f} (up to "
            f"{scaled['test_ece_if_perfect_high']:.3f}) and the loss "
            f"{interval(scaled, 'test_nll')} nats per pixel.",
        ),
        (
            Figure(
                "reliability.png",
                "How often pixels are right by their confidence on the test split, as trained and "
                "at the temperature.",
                "reliability.csv",
            ),
        ),
        is_folded=True,
    )
