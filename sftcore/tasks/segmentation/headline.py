"""Where the numbers of MLflow's list stand in ``metrics.json``, for the task and its report."""

from collections.abc import Mapping

HEADLINE: Mapping[str, tuple[str, str]] = {
    "test/mean_iou": ("test", "mean_iou"),
    "test/mean_iou_low": ("test", "mean_iou_low"),
    "test/mean_iou_high": ("test", "mean_iou_high"),
    "test/mean_dice": ("test", "mean_dice"),
    "test/pixel_accuracy": ("test", "pixel_accuracy"),
    "test/boundary_f1": ("test", "boundary_f1"),
    "test/nll": ("test", "nll"),
    "test/ece": ("test", "ece"),
    "test/mean_iou_gain": ("worth", "test_mean_iou"),
    "test/mean_iou_gap": ("gap", "train_minus_test_mean_iou"),
    "val/final_mean_iou": ("val", "mean_iou"),
}
