"""Prepared pictures as files: what the other stages read, and what people look up."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.audit import Refusal
from sftcore.data.judging import Judged
from sftcore.data.pictures.decode import Decoding
from sftcore.data.splits import SPLIT_ORDER
from sftcore.data.store import CLASSES_FILE, IMAGES_FILE, SAMPLES_FILE, write_manifest
from sftcore.foundations.artifacts import write_csv, write_json

_GROUP_DIGITS = 12


def summarize(
    judged: Judged, leaders: Sequence[str], splits: Sequence[str], refusals: Sequence[Refusal]
) -> dict[str, Any]:
    """The content of ``summary.json``: counts by split, class and reason.

    Args:
        judged: pictures that are used.
        leaders: names of their groups.
        splits: of them.
        refusals: of the others.
    """
    sizes = Counter(leaders)
    labels = [item.label for item in judged.items]
    by_class = Counter(zip(labels, splits, strict=True))
    return {
        "num_pictures": len(judged.items),
        "num_classes": len(set(labels)),
        "num_refused": len(refusals),
        "refused": dict(Counter(refusal.reason for refusal in refusals)),
        "splits": {name: splits.count(name) for name in SPLIT_ORDER},
        "classes": {
            label: {name: by_class[label, name] for name in SPLIT_ORDER}
            for label in sorted(set(labels))
        },
        "near_duplicates": {
            "num_groups": sum(size > 1 for size in sizes.values()),
            "num_pictures": sum(size for size in sizes.values() if size > 1),
            "largest_group": max(sizes.values()),
        },
    }


def write_prepared(
    folder: Path,
    scratch: Path,
    judged: Judged,
    leaders: Sequence[str],
    splits: Sequence[str],
    refusals: Sequence[Refusal],
    summary: dict[str, Any],
    decoding: Decoding,
) -> None:
    """Write all that other stages read.

    Args:
        folder: to write into.
        scratch: squares of all pictures of the source; removed.
        judged: pictures that are used.
        leaders: names of their groups.
        splits: of them.
        refusals: rows of the audit.
        summary: see :func:`summarize`.
        decoding: that the squares were made with.
    """
    everything = np.load(scratch, mmap_mode="r")
    shape = (len(judged.rows), *everything.shape[1:])
    images = np.lib.format.open_memmap(folder / IMAGES_FILE, mode="w+", dtype=np.uint8, shape=shape)
    for position, row in enumerate(judged.rows):
        images[position] = everything[row]
    images.flush()
    del everything, images
    scratch.unlink()
    labels = [item.label for item in judged.items]
    classes = sorted(set(labels))
    index_of = {name: index for index, name in enumerate(classes)}
    samples = pd.DataFrame(
        {
            "row": range(len(labels)),
            "id": [item.id for item in judged.items],
            "label": labels,
            "label_index": [index_of[label] for label in labels],
            "split": splits,
            "sha256": judged.sha256s,
            "group": [leader[:_GROUP_DIGITS] for leader in leaders],
        }
    )
    columns = ["id", "label", "reason", "detail"]
    audit = pd.DataFrame([vars(refusal) for refusal in refusals], columns=columns)
    write_csv(folder / SAMPLES_FILE, samples)
    write_csv(folder / "audit.csv", audit.sort_values("id", kind="stable"))
    write_json(folder / CLASSES_FILE, classes)
    write_json(folder / "summary.json", summary)
    facts = {
        "image_size": decoding.image_size,
        "background": list(decoding.background),
        "num_pictures": summary["num_pictures"],
        "num_classes": summary["num_classes"],
    }
    write_manifest(folder, facts)
