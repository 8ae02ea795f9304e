"""Opening every picture of a source once, and judging its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sftcore.data.audit import Refusal, refuse_duplicates
from sftcore.data.pictures.decode import Decoding, Refused, decode_square
from sftcore.data.pictures.fingerprints import (
    HASH_WORDS,
    SMALL_SIDE,
    VARIANTS,
    perceptual_hashes,
    small_copy,
)
from sftcore.data.sources import Item, reading_order
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.progress import show_progress


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


def judge(
    items: Sequence[Item],
    scratch: Path,
    small: Path,
    decoding: Decoding,
) -> tuple[Judged, list[Refusal]]:
    """Open every picture once, in the order that costs least.

    Args:
        items: N pictures, in the order of their ids.
        scratch: gets the squares, uint8 [N, S, S, 3]; row i is item i.
        small: gets their small copies, uint8 [N, side, side, 3], likewise.
        decoding: how files become pictures.

    Returns:
        What was seen of those that could be opened, and the others with their reasons.
    """
    images, copies = (
        np.lib.format.open_memmap(
            file, mode="w+", dtype=np.uint8, shape=(len(items), side, side, 3)
        )
        for file, side in ((scratch, decoding.image_size), (small, SMALL_SIDE))
    )
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


def drop_copies(judged: Judged, refusals: list[Refusal]) -> Judged:
    """Without pictures whose bytes stand elsewhere too.

    Args:
        judged: in the order of their ids.
        refusals: gets a row for each that is dropped.
    """
    ids = [item.id for item in judged.items]
    labels = [item.label for item in judged.items]
    given = [item.split for item in judged.items]
    refused = refuse_duplicates(ids, labels, judged.sha256s, given)
    refusals += [Refusal(ids[i], labels[i], why.reason, why.detail) for i, why in refused.items()]
    return judged.without(set(refused))
