"""From a source to prepared data: open and judge every picture, group, split, store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.audit import Refusal, check_limits, refuse_crossing, refuse_duplicates
from sftcore.data.decode import Colour, Decoding, Refused, decode_square
from sftcore.data.fingerprints import (
    HASH_WORDS,
    SMALL_SIDE,
    VARIANTS,
    perceptual_hashes,
    small_copy,
)
from sftcore.data.near_duplicates import Looks, near_duplicate_groups
from sftcore.data.sources import Item, open_source, others_line, reading_order
from sftcore.data.splits import (
    SPLIT_ORDER,
    assign_splits,
    crossing_rows,
    group_leaders,
    require_training,
)
from sftcore.data.store import CLASSES_FILE, IMAGES_FILE, SAMPLES_FILE, write_manifest
from sftcore.foundations.artifacts import (
    output_folder,
    require_space,
    sha256_bytes,
    write_csv,
    write_json,
)
from sftcore.foundations.progress import show_progress

_GROUP_DIGITS = 12
_SCRATCH = ("all.npy", "small.npy")


@dataclass(frozen=True)
class Judged:
    """What was seen of the pictures that could be opened, in the order of their ids."""

    items: list[Item]
    rows: list[int]  # in the temporary arrays of all pictures
    sha256s: list[str]
    hashes: np.ndarray  # uint64 [N, 11, 4]

    def without(self, dropped: set[int]) -> "Judged":
        """The same without some positions."""
        kept = [i for i in range(len(self.items)) if i not in dropped]
        return replace(
            self,
            items=[self.items[i] for i in kept],
            rows=[self.rows[i] for i in kept],
            sha256s=[self.sha256s[i] for i in kept],
            hashes=self.hashes[kept],
        )


def prepare(
    *,
    source: str,
    path: Path,
    table: str,
    image_size: int,
    background: Colour,
    max_pixels: int,
    max_refused_fraction: float,
    min_pictures_per_class: int,
    near_duplicate_distance: int,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
    output: Path,
) -> dict[str, Any]:
    """Write prepared data into ``output``; an earlier one stays unless all goes well.

    Args:
        source: ``auto`` or a kind; see :func:`sftcore.data.sources.open_source`.
        path: folder, archive or table of the data.
        table: file inside it, for the source ``table``.
        image_size: side of the prepared pictures in pixels.
        background: colour behind transparent pictures and around oblong ones.
        max_pixels: larger pictures are refused undecoded.
        max_refused_fraction: more broken pictures stop the run.
        min_pictures_per_class: fewer usable pictures in a class stop the run.
        near_duplicate_distance: bits in which near-duplicates may differ; -1 is off.
        val_fraction: wanted part for validation.
        test_fraction: wanted part for test.
        split_seed: another number draws another split.
        output: folder to write.

    Returns:
        The content of ``summary.json``: counts by split, class and reason.

    Raises:
        DataError: the source cannot be used, or a limit is passed.
        OutputError: the output does not fit on the disk.
    """
    contents = open_source(source, path, table)
    print("\n".join(contents.lines()), flush=True)
    items = contents.items
    # Twice: all pictures are decoded into one array, then the used ones are copied.
    require_space(output, len(items) * 3 * (2 * image_size**2 + SMALL_SIDE**2))
    with output_folder(output) as folder:
        scratch, small = (folder / name for name in _SCRATCH)
        judged, refusals = _judge(items, scratch, small, image_size, max_pixels, background)
        judged = _drop_duplicates(judged, refusals)
        judged, leaders, splits = _split(
            judged, small, refusals, near_duplicate_distance, val_fraction, test_fraction,
            split_seed, max_refused_fraction, min_pictures_per_class,
            [item.label for item in items],
        )  # fmt: skip
        small.unlink()
        summary = _summarize(judged, leaders, splits, refusals)
        if contents.others:  # one line for all of them; no picture was lost
            summary["not_pictures"] = contents.others
            line = others_line(contents.others)
            refusals.append(Refusal("", "", *line.split(": ", 1)))
        _write(folder, scratch, judged, leaders, splits, refusals, summary, image_size, background)
    return summary


def _judge(
    items: Sequence[Item],
    scratch: Path,
    small: Path,
    image_size: int,
    max_pixels: int,
    background: Colour,
) -> tuple[Judged, list[Refusal]]:
    """Open every picture once, in the order that costs least; row i of the arrays is item i."""
    images, copies = (
        np.lib.format.open_memmap(
            file, mode="w+", dtype=np.uint8, shape=(len(items), side, side, 3)
        )
        for file, side in ((scratch, image_size), (small, SMALL_SIDE))
    )
    decoding = Decoding(image_size, max_pixels, background)
    seen: dict[int, tuple[str, np.ndarray]] = {}
    refused: dict[int, Refusal] = {}
    with show_progress("prepare", len(items), "pictures") as progress:
        for row in reading_order(items):
            item = items[row]
            progress.advance()
            try:
                content = item.read()
                square = decode_square(content, decoding)
            except Refused as why:
                refused[row] = Refusal(item.id, item.label, why.reason, why.detail)
                continue
            images[row] = square.pixels
            left, top, width, height = square.box
            copies[row] = small_copy(images[row, top : top + height, left : left + width])
            seen[row] = sha256_bytes(content), perceptual_hashes(copies[row])
    images.flush()
    copies.flush()
    rows = sorted(seen)
    hashes = np.array([seen[row][1] for row in rows], dtype=np.uint64)
    return Judged(
        [items[row] for row in rows],
        rows,
        [seen[row][0] for row in rows],
        hashes.reshape(-1, len(VARIANTS), HASH_WORDS),
    ), [refused[row] for row in sorted(refused)]


def _drop_duplicates(judged: Judged, refusals: list[Refusal]) -> Judged:
    ids = [item.id for item in judged.items]
    labels = [item.label for item in judged.items]
    given = [item.split for item in judged.items]
    refused = refuse_duplicates(ids, labels, judged.sha256s, given)
    refusals += [Refusal(ids[i], labels[i], why.reason, why.detail) for i, why in refused.items()]
    return judged.without(set(refused))


def _split(
    judged: Judged,
    small: Path,
    refusals: list[Refusal],
    near_duplicate_distance: int,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
    max_refused_fraction: float,
    min_pictures_per_class: int,
    all_labels: Sequence[str],
) -> tuple[Judged, list[str], list[str]]:
    """Check the limits, group, split, and leave out what the source's own splits let cross."""

    def check(judged: Judged) -> None:
        check_limits(
            refusals,
            [item.label for item in judged.items],
            all_labels,
            max_refused_fraction=max_refused_fraction,
            min_pictures_per_class=min_pictures_per_class,
        )

    check(judged)
    looks = Looks(judged.hashes, np.load(small, mmap_mode="r"), np.array(judged.rows))
    groups = near_duplicate_groups(
        looks, judged.sha256s, near_duplicate_distance, [item.group for item in judged.items]
    )
    leaders = group_leaders(judged.sha256s, groups)
    splits = assign_splits(
        [item.label for item in judged.items],
        leaders,
        [item.split for item in judged.items],
        seed=split_seed,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
    )
    crossing = crossing_rows(splits, leaders)
    refusals += refuse_crossing(
        [item.id for item in judged.items],
        [item.label for item in judged.items],
        splits,
        crossing,
    )
    kept = [i for i in range(len(splits)) if i not in crossing]
    judged, leaders, splits = (
        judged.without(set(crossing)),
        [leaders[i] for i in kept],
        [splits[i] for i in kept],
    )
    if crossing:
        check(judged)
        require_training([item.label for item in judged.items], splits)
    return judged, leaders, splits


def _summarize(
    judged: Judged, leaders: Sequence[str], splits: Sequence[str], refusals: Sequence[Refusal]
) -> dict[str, Any]:
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


def _write(
    folder: Path,
    scratch: Path,
    judged: Judged,
    leaders: Sequence[str],
    splits: Sequence[str],
    refusals: Sequence[Refusal],
    summary: dict[str, Any],
    image_size: int,
    background: Colour,
) -> None:
    everything = np.load(scratch, mmap_mode="r")
    shape = (len(judged.rows), image_size, image_size, 3)
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
    facts = {"image_size": image_size, "background": list(background), **summary}
    write_manifest(
        folder,
        {key: facts[key] for key in ("image_size", "background", "num_pictures", "num_classes")},
    )
