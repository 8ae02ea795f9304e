"""The numbers of MLflow's list, which the task and its report share."""

from collections.abc import Mapping

HEADLINE: Mapping[str, tuple[str, str]] = {
    "test/average_precision": ("test", "average_precision"),
    "test/average_precision_low": ("test", "average_precision_low"),
    "test/average_precision_high": ("test", "average_precision_high"),
    "test/average_precision_50": ("test", "average_precision_50"),
    "test/average_precision_75": ("test", "average_precision_75"),
    "test/f1": ("test", "f1"),
    "test/ece": ("test", "ece"),
    "test/average_precision_gain": ("worth", "test_average_precision"),
    "test/average_precision_gap": ("gap", "train_minus_test_average_precision"),
    "val/final_average_precision": ("val", "average_precision"),
}
