"""What the report of a run says of boxes on its test split."""

import math
from collections.abc import Mapping
from typing import Any

from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.detection.figures import ERROR_WORDS
from sftcore.tasks.report_words import covers, interval, signed

_AP = "average_precision"
_SIZES = {
    "small": "small boxes (up to 32² pixels)",
    "medium": "medium ones (up to 96²)",
    "large": "large ones",
}


def results_parts(metrics: Mapping[str, Any]) -> list[Part]:
    """The parts of ``reports/evaluate``.

    Args:
        metrics: see :func:`sftcore.tasks.detection.report.write_report`.
    """
    scope = covers(metrics["interval"]["confidence"])
    return [
        _first(metrics, scope),
        _threshold(metrics),
        _errors(metrics, scope),
        _classes(scope),
        _gap(metrics),
        _calibration(metrics["test"]),
        _pictures(),
        _most_wrong(),
    ]


def _first(metrics: Mapping[str, Any], scope: str) -> Part:
    test = metrics["test"]
    words = [
        f"On {test['num_pictures']} test pictures, which had no say in this model: average "
        f"precision {interval(test, _AP)}, as COCO has it: the mean over classes and over ten "
        "least overlaps (IoU) from .5 to .95 at which a box of the right class is right. At IoU "
        f".5 it is {interval(test, f'{_AP}_50')}, at .75 {interval(test, f'{_AP}_75')}. {scope} "
        "Resamples rank a picture beside its own copies, which shifts the intervals of average "
        "precision upwards.",
        _by_size(test),
    ]
    if "baselines" not in metrics:
        return Part("The model", tuple(words))
    worth = metrics["worth"]
    words.append(
        "Against a detector that is linear in the frozen maps, picture by picture and each with "
        f"the threshold of its own validation: average precision {signed(worth, f'test_{_AP}')}, "
        f"at IoU .5 {signed(worth, f'test_{_AP}_50')}, F1 {signed(worth, 'test_f1')}. The other "
        "row gives the boxes of the training picture whose features are nearest."
    )
    shown = {
        "row": "row", f"test_{_AP}": "AP", f"test_{_AP}_low": "low", f"test_{_AP}_high": "high",
        f"test_{_AP}_50": "AP at .5", f"test_{_AP}_75": "AP at .75", "test_f1": "F1",
    }  # fmt: skip
    names = ("fine_tuned", *metrics["baselines"])
    caption = "On the test split; low and high: the interval of average precision (AP)."
    table = Table(
        "baselines.csv", caption, shown, words={name: name.replace("_", " ") for name in names}
    )
    return Part("The model and the rows to beat", tuple(words), (), (table,))


def _by_size(test: Mapping[str, float]) -> str:
    known = [size for size in _SIZES if not math.isnan(test[f"{_AP}_{size}"])]
    of_sizes = ", ".join(f"{interval(test, f'{_AP}_{size}')} of {_SIZES[size]}" for size in known)
    recall = (
        "Average recall, the part of the true boxes that is found, with at most a hundred boxes of "
        f"a class in a picture: {interval(test, 'average_recall_100')}."
    )
    if not known:
        return recall
    return (
        f"Average precision by size: {of_sizes}. Pixels are those of the square that the network "
        f"sees. {recall}"
    )


def _pictures() -> Part:
    return Part(
        "What it sees",
        figures=(
            Figure(
                "pictures.png",
                "Test pictures with the least, a middle and the greatest F1 of their own, at the "
                "threshold: the true boxes, and beside them what is given. Pictures on which "
                "nothing is true nor given are left out.",
                "pictures.csv",
            ),
        ),
    )


def _threshold(metrics: Mapping[str, Any]) -> Part:
    test = metrics["test"]
    return Part(
        "From which score a box counts",
        (
            f"Boxes count from a score of {metrics['threshold']:.3f}, at which F1 on validation "
            "is greatest; test pictures had no say in it. There, at IoU .5 and all classes "
            f"together: F1 {interval(test, 'f1')}, precision {interval(test, 'precision')}, "
            f"recall {interval(test, 'recall')}. A picture has "
            f"{test['boxes_per_picture']:.2f} boxes on average, and "
            f"{test['given_per_picture']:.2f} are given.",
        ),
        (
            Figure(
                "f1_by_threshold.png",
                "F1, precision and recall by the threshold, on the test split.",
                "f1_by_threshold.csv",
            ),
            Figure(
                "precision_recall.png",
                "Precision over recall at IoU .5, on the test split.",
                "precision_recall.csv",
            ),
        ),
    )


def _errors(metrics: Mapping[str, Any], scope: str) -> Part:
    gains = {kind: of["gain"] for kind, of in metrics["errors"].items() if of["gain"] > 0}
    words = [
        "A box in the wrong place overlaps a true box of its class with an IoU of .1 to .5; one of "
        "the wrong class overlaps one of another class with at least .5; one on background "
        "overlaps no true box with .1. A true box is missed here if no box is right, in the wrong "
        "place or of the wrong class there (TIDE: Bolya et al., 2020).",
    ]
    if gains:
        best = max(gains, key=gains.__getitem__)
        words.append(
            f"Mending alone what is worth most ({ERROR_WORDS[best]}) would add "
            f"{signed(metrics['errors'][best], 'gain')} to average precision at IoU .5. Gains do "
            "not add up: mending one kind changes what the others are worth."
        )
    return Part(
        "Kinds of errors",
        tuple(words),
        (
            Figure(
                "errors.png",
                "Errors of boxes from the threshold on, and the gain in average precision if a "
                f"kind is mended among all given boxes. {scope}",
                "errors.csv",
            ),
        ),
        (
            Table(
                "errors.csv",
                "On the test split; low and high: the interval of the gain.",
                {
                    "kind": "kind", "count": "errors", "per_picture": "a picture",
                    "gain": "gain in AP at IoU .5", "gain_low": "low", "gain_high": "high",
                },
                words=ERROR_WORDS,
            ),
        ),
    )  # fmt: skip


def _classes(scope: str) -> Part:
    return Part(
        "Class by class",
        figures=(
            Figure(
                "per_class.png", f"Average precision and F1 of every class. {scope}",
                "per_class.csv",
            ),
        ),
        tables=(
            Table(
                "per_class.csv",
                "On the test split; low and high: the interval of average precision (AP). "
                "Precision, recall and F1 are at IoU .5 and the threshold.",
                {
                    "class": "class", "true": "true boxes", "given": "given boxes",
                    "average_precision": "AP", "average_precision_low": "low",
                    "average_precision_high": "high", "average_precision_50": "AP at .5",
                    "precision": "precision", "recall": "recall", "f1": "F1",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _gap(metrics: Mapping[str, Any]) -> Part:
    return Part(
        "From training to test pictures",
        (
            "Average precision on training pictures minus that on test pictures: "
            f"{signed(metrics['gap'], f'train_minus_test_{_AP}')}. A gap shows that the model "
            "knows its training pictures better than new ones; whether that does harm is told by "
            "the course of the validation loss and by the study.",
        ),
        (
            Figure(
                "generalization_gap.png",
                "Average precision and F1 by split. Intervals resample each split's own pictures "
                "by groups; only those of the test split speak of new pictures.",
                "generalization_gap.csv",
            ),
        ),
    )


def _calibration(test: Mapping[str, float]) -> Part:
    words = (
        f"Calibration error over all given boxes, at IoU .5: {test['ece']:.3f}; a detector whose "
        "boxes are right as often as their scores say, each by itself, shows up to "
        f"{test['ece_if_perfect_high']:.3f} on as many boxes. Boxes of low scores count like all "
        "others, so their number moves this error."
    )
    return Part(
        "Is a box of score .8 right in 80 % of the cases?",
        (words,) if not math.isnan(test["ece"]) else ("No box is given on the test split.",),
        (
            Figure(
                "reliability.png",
                "How often boxes are right by their score, on the test split.",
                "reliability.csv",
            ),
        ),
    )


def _most_wrong() -> Part:
    return Part(
        "The pictures it is most wrong about",
        tables=(
            Table(
                "most_wrong.csv",
                "Test pictures with the least F1 of their own at the threshold. A wrong annotation "
                "is as likely a cause as a hard picture: look.",
                {
                    "id": "picture", "true": "true boxes", "given": "given", "right": "right",
                    "missed": "missed", "false": "wrong", "f1": "F1",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip
