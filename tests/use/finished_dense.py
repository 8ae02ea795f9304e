"""Finished models of masks and of boxes on a tiny backbone, with random parameters."""

from pathlib import Path

import numpy as np
import torch

from sftcore.evaluation.predict import load_model, look_at, save_model
from sftcore.models.dense.heads import DenseHead, head_settings, level_sizes
from sftcore.models.start import build_start
from sftcore.tasks.answers import answers_of
from sftcore.tasks.names import LEARNT
from sftcore.use.contract import ToJudge
from sftcore.use.decision import save_decision
from sftcore.use.rules import Wanted
from sftcore.use.usages import USAGES

SIDE = 64
NAMES = {"segmentation": ["=sky", "background", "日本"], "detection": ["=cat", "dog"]}
BACKBONE = "timm/test_efficientnet"
_HEADS = {
    "segmentation": {"width": 16},
    "detection": {"width": 16, "num_convs": 0, "prior": 0.5},
}
_COUNT = 12


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Coarse coloured noise, uint8 [N, S, S, 3]: what is seen differs from place to place."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)


def write_dense_model(root: Path, task: str) -> Path:
    """Write ``root/models/finetuned`` and its rules; gives the folder of the model."""
    settings = head_settings(LEARNT[task].target, _HEADS[task])
    start = build_start(
        backbone=BACKBONE, weights="none", num_classes=len(NAMES[task]), image_size=SIDE,
        dropout=0.0, seed=1, device=torch.device("cpu"), dense=settings,
    )  # fmt: skip
    assert settings is not None
    network = start.network.eval()
    facts: dict[str, object] = {"names": NAMES[task]}
    if task == "detection":
        with torch.no_grad():
            maps = network.run_blocks(torch.zeros(1, 3, SIDE, SIDE), 0, len(network.blocks))
        assert isinstance(network.head, DenseHead)
        levels = {
            str(stride): list(size) for stride, size in level_sizes(network.head, maps).items()
        }
        facts |= {"levels": levels, "side": SIDE}
        facts["decoding"] = {"max_detections": 20, "nms_iou": 0.5, "score_threshold": 0.05,
                             "num_candidates": 1000}  # fmt: skip
    record = {
        "backbone": BACKBONE, "dropout": 0.0, "pretrained": {}, "num_threads": 1, "mode": "native",
        "image_size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25),
        "background": (9, 9, 9), "task": task, "head": settings.model_dump(), "facts": facts,
    }  # fmt: skip
    folder = root / "models" / "finetuned"
    save_model(folder, network.state_dict(), record)
    _write_rules(root, task)
    return folder


def _write_rules(root: Path, task: str) -> None:
    model = load_model(root / "models" / "finetuned")
    shown = pictures(3 * _COUNT)
    seen = look_at(model.network, shown, model.sight, answers_of(task, model.record.facts))
    rows = {name: np.arange(_COUNT) + _COUNT * k for k, name in enumerate(("train", "val", "test"))}
    groups = np.arange(len(shown)).astype(str)
    judged = ToJudge(seen.features, seen.answers, targets_of(task, len(shown)), groups, rows)
    fixed = USAGES[task](NAMES[task], model.record.facts).fix(
        judged, Wanted(0.9, 0.5, 0.9, 0.95), model_sha256=model.record.model_sha256, device="cpu"
    )
    save_decision(root / "models" / "decision", fixed.decision, fixed.directions)


def targets_of(task: str, count: int) -> np.ndarray:
    """Masks or boxes as the store has them, of nothing that is on the pictures."""
    stream = np.random.default_rng(5)
    if task == "segmentation":
        masks = stream.integers(0, len(NAMES[task]), (count, SIDE, SIDE)).astype(np.uint8)
        masks[:, :8] = 255
        return masks
    begins = stream.uniform(0, 30, (count, 4, 2))
    ends = begins + stream.uniform(8, 30, (count, 4, 2))
    last = np.stack([stream.integers(-1, 2, (count, 4)), np.zeros((count, 4))], axis=2)
    return np.concatenate([begins, ends, last], axis=2).astype(np.float32)
