"""Pictures that look the same, found by a perceptual hash."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 8
_SAMPLED_SIDE = 32
_CHUNK_PAIRS = 1 << 24


def perceptual_hash(image: np.ndarray) -> np.uint64:
    """64 bits of a picture's coarse structure (pHash; Zauner, 2010, section 3.2.1).

    The grey picture is shrunk to 32 x 32; of its cosine transform the 8 x 8 lowest frequencies
    but the constant column and row are compared with their median.

    Args:
        image: uint8 [S, S, 3].
    """
    grey = Image.fromarray(image).convert("L")
    small = grey.resize((_SAMPLED_SIDE, _SAMPLED_SIDE), Image.Resampling.LANCZOS)
    spectrum = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
    low = spectrum[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1].ravel()
    return np.packbits(low > np.median(low)).view(np.uint64)[0]


def near_duplicate_groups(
    hashes: np.ndarray, max_distance: int, given_groups: Sequence[str]
) -> np.ndarray:
    """Connected groups of pictures: near in hash, or of one given group.

    Args:
        hashes: uint64 [N].
        max_distance: bits in which near-duplicates may differ; negative groups nothing by hash.
        given_groups: N names; equal names belong together, empty ones say nothing.

    Returns:
        Group numbers [N]; equal numbers belong together.
    """
    count = len(hashes)
    pairs = [_pairs_of_names(given_groups)]
    if max_distance >= 0:
        pairs += _near_pairs(hashes, max_distance)
    first, second = np.concatenate(pairs).T
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _pairs_of_names(names: Sequence[str]) -> np.ndarray:
    """Each named row with the first row of its name, [P, 2]."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, row), row) for row, name in enumerate(names) if name]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _near_pairs(hashes: np.ndarray, max_distance: int) -> list[np.ndarray]:
    """Pairs of rows within a distance, in pieces, so that memory stays bounded."""
    rows_at_once = max(1, _CHUNK_PAIRS // max(1, len(hashes)))
    found = []
    for start in range(0, len(hashes), rows_at_once):
        differing = np.bitwise_count(hashes[start : start + rows_at_once, None] ^ hashes[None, :])
        first, second = np.nonzero(differing <= max_distance)
        keep = first + start < second
        found.append(np.stack([first[keep] + start, second[keep]], axis=1).astype(np.int64))
    return found
