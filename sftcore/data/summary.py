"""What prepared data hold, in counts."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sftcore.data.audit import Refusal
from sftcore.data.judging import Divided
from sftcore.data.kinds import Names
from sftcore.data.splits import SPLIT_ORDER
from sftcore.data.targets.target import SETS, TargetKind

_SHOWN_SPLITS = ("train", "val")  # numbers of the test split stay shut


def summarize(
    divided: Divided,
    refusals: Sequence[Refusal],
    names: Names,
    target: TargetKind,
    target_names: Sequence[str],
) -> dict[str, Any]:
    """The content of ``summary.json``: counts by split, target and reason.

    Args:
        divided: examples that are used.
        refusals: of the others.
        names: of their kind.
        target: kind of their targets.
        target_names: of the classes, labels or numbers, in the order of outputs.
    """
    sizes = Counter(divided.leaders)
    num_examples = f"num_{names.plural}"
    counts = {"class": "num_classes", "numbers": "num_numbers", **dict.fromkeys(SETS, "num_labels")}
    outputs = {counts[target]: len(target_names)} if target in counts else {}
    return {
        num_examples: len(divided.splits),
        **outputs,
        "num_refused": len(refusals),
        "refused": dict(Counter(refusal.reason for refusal in refusals)),
        "splits": {name: divided.splits.count(name) for name in SPLIT_ORDER},
        **_of_targets(divided, target, target_names),
        "near_duplicates": {
            "num_groups": sum(size > 1 for size in sizes.values()),
            num_examples: sum(size for size in sizes.values() if size > 1),
            "largest_group": max(sizes.values()),
        },
    }


def _of_targets(divided: Divided, target: TargetKind, names: Sequence[str]) -> dict[str, Any]:
    """Examples of each class or label in each split; the range and mean of each number."""
    if target == "answers":
        return {}
    rows = list(zip(divided.judged.values, divided.splits, strict=True))
    if target == "numbers":
        return {
            "numbers": {
                name: {
                    split: _spread([float(value[place]) for value, of in rows if of == split])
                    for split in _SHOWN_SPLITS
                }
                for place, name in enumerate(names)
            }
        }
    counts = Counter(
        (str(name), split)
        for value, split in rows
        for name in ([value] if isinstance(value, str) else value)
    )
    return {
        "classes" if target == "class" else "labels": {
            name: {split: counts[name, split] for split in SPLIT_ORDER} for name in names
        }
    }


def _spread(numbers: Sequence[float]) -> dict[str, float]:
    if not numbers:
        return {}
    mean = math.fsum(numbers) / len(numbers)
    return {"least": min(numbers), "mean": mean, "most": max(numbers)}
