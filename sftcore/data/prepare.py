"""From a source to prepared data: open and judge every picture, group, split, store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sftcore.data.audit import Refusal, check_limits, refuse_crossing
from sftcore.data.judging import Judged, drop_copies, judge
from sftcore.data.near_duplicates import Looks, near_duplicate_groups
from sftcore.data.pictures.decode import Colour, Decoding
from sftcore.data.pictures.fingerprints import SMALL_SIDE
from sftcore.data.sources import open_source, others_line
from sftcore.data.splits import assign_splits, crossing_rows, group_leaders, require_training
from sftcore.data.writing import summarize, write_prepared
from sftcore.foundations.artifacts import output_folder, require_space

_SCRATCH = ("all.npy", "small.npy")


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
    items, decoding = contents.items, Decoding(image_size, max_pixels, background)
    # Twice: all pictures are decoded into one array, then the used ones are copied.
    require_space(output, len(items) * 3 * (2 * image_size**2 + SMALL_SIDE**2))
    with output_folder(output) as folder:
        scratch, small = (folder / name for name in _SCRATCH)
        judged, refusals = judge(items, scratch, small, decoding)
        judged = drop_copies(judged, refusals)
        judged, leaders, splits = _split(
            judged, small, refusals, near_duplicate_distance, val_fraction, test_fraction,
            split_seed, max_refused_fraction, min_pictures_per_class,
            [item.label for item in items],
        )  # fmt: skip
        small.unlink()
        summary = summarize(judged, leaders, splits, refusals)
        near = summary["near_duplicates"]
        if near_duplicate_distance < 0:
            near["are_not_sought"] = True
        if any(item.group for item in judged.items):
            near["hold_given_groups"] = True
        if contents.others:  # one line for all of them; no picture was lost
            summary["not_pictures"] = contents.others
            line = others_line(contents.others)
            refusals.append(Refusal("", "", *line.split(": ", 1)))
        write_prepared(folder, scratch, judged, leaders, splits, refusals, summary, decoding)
    return summary


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
