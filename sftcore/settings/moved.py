"""Where settings that once had another name are now."""

from collections.abc import Mapping
from typing import Any

from sftcore.foundations.errors import ParamsError

_STUDIES = "a study has a file of its own in studies/, which ablation.study names"
# Old dotted name: the new one, or a sentence.
MOVED = {
    "ablation.grid": _STUDIES,
    "ablation.quick": _STUDIES,
    "ablation.full": _STUDIES,
    "data.image_size": "data.pictures.image_size",
    "data.background": "data.pictures.background",
    "data.max_pixels": "data.pictures.max_pixels",
    "data.min_pictures_per_class": "data.min_per_class",
    "train.head": "train.head.method",
    "train.head_strength": "train.head.strength",
    "train.head_epochs": "train.head.epochs",
    "train.head_learning_rate": "train.head.learning_rate",
    "train.rate_scaling": "train.rate_scaling.rule",
    "train.rate_scaling_batch_size": "train.rate_scaling.batch_size",
    "train.schedule": "train.schedule.name",
    "train.warmup": "train.schedule.warmup",
    "train.schedule_factor": "train.schedule.factor",
    "train.schedule_every": "train.schedule.every",
    "train.schedule_milestones": "train.schedule.milestones",
    "train.schedule_end": "train.schedule.end",
    "train.schedule_power": "train.schedule.power",
    "train.schedule_cycles": "train.schedule.cycles",
    "train.schedule_rise": "train.schedule.rise",
    "train.schedule_decay": "train.schedule.decay",
    "train.schedule_patience": "train.schedule.patience",
    "train.range_test": "train.range_test.enabled",
    "train.range_test_steps": "train.range_test.steps",
    "train.range_test_least": "train.range_test.least",
    "train.range_test_most": "train.range_test.most",
    "train.range_test_suggestion": "train.range_test.suggestion",
    "train.clip_norm": "train.clipping.norm",
    "train.clip_value": "train.clipping.value",
    "train.clip_agc": "train.clipping.agc",
    "train.guard": "train.guard.answers",
    "train.guard_loss_z": "train.guard.loss_z",
    "train.guard_loss_run": "train.guard.loss_run",
    "train.guard_norm_factor": "train.guard.norm_factor",
    "train.guard_window": "train.guard.window",
    "train.guard_snapshot_updates": "train.guard.snapshot_updates",
    "train.guard_rate_factor": "train.guard.rate_factor",
    "train.guard_max_incidents": "train.guard.max_incidents",
    "train.l1": "train.penalties.l1",
    "train.l2": "train.penalties.l2",
    "train.l1_sp": "train.penalties.l1_sp",
    "train.l2_sp": "train.penalties.l2_sp",
    "train.penalty_form": "train.penalties.form",
    "train.penalize_norm_and_bias": "train.penalties.norm_and_bias",
    "train.head_penalty_factor": "train.penalties.head_factor",
    "train.delta": "train.features.delta",
    "train.bss": "train.features.bss",
    "train.co_tuning": "train.features.co_tuning",
    "train.augmentation": "train.augmentation.strength",
    "train.augmentation_policy": "train.augmentation.policy",
    "train.random_erasing": "train.augmentation.erasing",
    "train.mixup": "train.augmentation.mixup",
    "train.cutmix": "train.augmentation.cutmix",
    "train.class_weighting": "train.imbalance.class_weighting",
    "train.balanced_sampling": "train.imbalance.balanced_sampling",
    "train.logit_adjustment": "train.imbalance.logit_adjustment",
    "train.sam_rho": "train.sharpness.rho",
    "train.sam_every": "train.sharpness.every",
    "train.ema_decay": "train.averaging.ema_decay",
    "train.swa_fraction": "train.averaging.swa_fraction",
    "train.soup_size": "train.averaging.soup_size",
    "train.wise_ft": "train.averaging.wise_ft",
    "train.early_stopping_patience": "train.stopping.patience",
    "train.early_stopping_min_change": "train.stopping.min_change",
    "train.selection_margin": "train.selection.margin",
    "train.selection_metric": "train.selection.metric",
    "train.seed_init": "train.seeds.init",
    "train.seed_order": "train.seeds.order",
    "train.seed_augmentation": "train.seeds.augmentation",
}


def refuse_old_names(tree: Mapping[str, Any], origin: str) -> None:
    """Say of every setting that stands under an old name where it is now.

    A name that is a group today is an old one where it holds a value.

    Args:
        tree: content of the file.
        origin: what the message calls it.

    Raises:
        ParamsError: there are such settings; one message lists them all.
    """
    found = []
    for old, new in MOVED.items():
        section, _, name = old.partition(".")
        inner = tree.get(section)
        if not isinstance(inner, Mapping) or name not in inner:
            continue
        is_group = new.startswith(f"{old}.")
        if not (is_group and isinstance(inner[name], Mapping)):
            found.append(f"{old} is {new} now" if " " not in new else f"{old}: {new}")
    if found:
        raise ParamsError(f"{origin} uses old names:\n  " + "\n  ".join(found))
