"""Pairs of near hashes without comparing each with all (multi-index hashing).

Norouzi, Punjani and Fleet, 2014, section 3: hashes of 256 bits in 16 chunks that differ in at most
15 bits have a chunk in common. Beyond 15 bits a pair is found if one of its chunks is equal, which
with chunks in the order of frequency is nearly always so for changed copies of one picture.
"""

from collections.abc import Iterator

import numpy as np

_CHUNK_BITS = 16
_CANDIDATES_AT_ONCE = 1 << 20
# Rows with one equal chunk that are looked at: the nearest in the order of the following chunks.
_WINDOW = 256


def near_pairs(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Pairs of which one's hash is near to a variant's hash of the other.

    Args:
        hashes: uint64 [N, V, W]: V variants of every row, the row as it is first. Rows must differ
            and stand in an order that their content gives, for the result to be a function of it.
        max_distance: bits in which they may differ.

    Returns:
        int64 [P, 3]: row with the variant, row as it is, variant; ascending. Variant 0 only with
        the first row before the second.
    """
    num_variants = hashes.shape[1]
    plain = np.ascontiguousarray(hashes[:, 0])
    found = [np.empty((0, 3), dtype=np.int64)]
    chunks = hashes.view(np.uint16)
    for chunk in range(chunks.shape[2]):
        follow = [(chunk + step) % chunks.shape[2] for step in range(4)]
        key = _sort_key(chunks[:, 0][:, follow])
        order = np.argsort(key, kind="stable")
        starts = np.searchsorted(key[order] >> np.uint64(48), np.arange((1 << _CHUNK_BITS) + 1))
        ordered = plain[order]
        for variant in range(num_variants):
            asked = np.ascontiguousarray(hashes[:, variant])
            first, last = _windows(key[order], starts, chunks[:, variant][:, follow])
            for rows, places in _ranges(first, last):
                near = _within(asked, rows, ordered, places, max_distance)
                rows, others = rows[near], order[places[near]]
                kept = rows < others if variant == 0 else rows != others
                triple = np.stack([rows[kept], others[kept], np.full(kept.sum(), variant)], axis=1)
                found.append(triple)
    return np.unique(np.concatenate(found), axis=0)


def _sort_key(chunks: np.ndarray) -> np.ndarray:
    """One number of 64 bits from four chunks, [N]."""
    key = np.zeros(len(chunks), dtype=np.uint64)
    for place in range(chunks.shape[1]):
        key = (key << np.uint64(_CHUNK_BITS)) | chunks[:, place].astype(np.uint64)
    return key


def _windows(
    ordered: np.ndarray, starts: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For every asked row the range of ordered rows to look at."""
    chunk = asked[:, 0].astype(np.int64)
    first, last = starts[chunk], starts[chunk + 1]
    crowded = np.flatnonzero(last - first > _WINDOW)
    middle = np.searchsorted(ordered, _sort_key(asked[crowded]))
    low = np.clip(middle - _WINDOW // 2, first[crowded], last[crowded] - _WINDOW)
    first[crowded], last[crowded] = low, low + _WINDOW
    return first, last


def _ranges(first: np.ndarray, last: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Asked rows, each with each place of its range, in pieces, so that memory stays bounded."""
    ends = np.cumsum(last - first)
    start = 0
    while start < len(first):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CANDIDATES_AT_ONCE, "right")))
        length = last[start:stop] - first[start:stop]
        rows = np.repeat(np.arange(start, stop), length)
        shift = np.repeat(first[start:stop] - (ends[start:stop] - length), length)
        yield rows, np.arange(done, done + len(rows)) + shift
        start = stop


def _within(
    asked: np.ndarray, rows: np.ndarray, ordered: np.ndarray, places: np.ndarray, limit: int
) -> np.ndarray:
    """Numbers of those pairs that differ in at most ``limit`` bits."""
    left = np.arange(len(rows))
    differing = np.zeros(len(rows), dtype=np.uint16)
    for word in range(asked.shape[1]):
        differing = differing + np.bitwise_count(
            asked[rows[left], word] ^ ordered[places[left], word]
        )
        near = differing <= limit
        left, differing = left[near], differing[near]
    return left
