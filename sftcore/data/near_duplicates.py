"""Pictures that look the same, found by a perceptual hash."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16
_SAMPLED_SIDE = 64
_CHUNK_PAIRS = 1 << 22


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """256 bits of a picture's coarse structure (pHash; Zauner, 2010, section 3.2.1).

    The grey picture is brought to 64 x 64; of its cosine transform the 16 x 16 lowest frequencies
    but the constant column and row are compared with their median.

    Args:
        image: uint8 [S, S, 3].

    Returns:
        uint64 [4].
    """
    grey = Image.fromarray(image).convert("L")
    small = grey.resize((_SAMPLED_SIDE, _SAMPLED_SIDE), Image.Resampling.LANCZOS)
    spectrum = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
    low = spectrum[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1].ravel()
    return np.packbits(low > np.median(low)).view(np.uint64)


def near_duplicate_groups(
    hashes: np.ndarray, max_distance: int, given_groups: Sequence[str]
) -> np.ndarray:
    """Connected groups of pictures: near in hash, or of one given group.

    Args:
        hashes: uint64 [N, W], 64 W bits each.
        max_distance: bits in which near-duplicates may differ; negative groups nothing by hash.
        given_groups: N names; equal names belong together, empty ones say nothing.

    Returns:
        Group numbers [N]; equal numbers belong together.
    """
    count = len(given_groups)
    groups = _join(np.arange(count), _pairs_of_names(given_groups))
    if max_distance < 0:
        return groups
    # Equal hashes are one row, and pairs are forgotten piece by piece: a set whose pictures all
    # look alike has as many pairs as the square of its size.
    distinct, of_row = np.unique(hashes, axis=0, return_inverse=True)
    near = np.arange(len(distinct))
    for pairs in _near_pairs(distinct, max_distance):
        near = _join(near, pairs)
    chain = np.argsort(near[of_row], kind="stable")
    is_same = near[of_row][chain[1:]] == near[of_row][chain[:-1]]
    return _join(groups, np.stack([chain[:-1], chain[1:]], axis=1)[is_same])


def _join(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Group numbers [N] after the groups of each pair of rows [P, 2] became one."""
    first, second = groups[pairs].T
    shape = (len(groups), len(groups))
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=shape)
    return connected_components(graph, directed=False)[1][groups]


def _pairs_of_names(names: Sequence[str]) -> np.ndarray:
    """Each named row with the first row of its name, [P, 2]."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, row), row) for row, name in enumerate(names) if name]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _near_pairs(hashes: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Pairs of rows within a distance, in pieces, so that memory stays bounded."""
    rows_at_once = max(1, _CHUNK_PAIRS // max(1, len(hashes)))
    for start in range(0, len(hashes), rows_at_once):
        block = hashes[start : start + rows_at_once]
        differing = np.zeros((len(block), len(hashes) - start), dtype=np.uint16)
        for word in range(hashes.shape[1]):
            differing += np.bitwise_count(block[:, None, word] ^ hashes[None, start:, word])
        pairs = np.argwhere(differing <= max_distance)
        if len(pairs) > len(block):  # each row is near itself
            yield pairs + start
