"""Groups of examples that are nearly the same, each around one example.

Hashes propose pairs, the kind of examples confirms them by what they hold, and a group is one
example with all that were confirmed to be near-duplicates of it. Groups do not grow from member to
member: likeness is not transitive, and in a large set of similar examples a chain would end up
holding a whole class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sftcore.data.hash_pairs import near_pairs


@dataclass(frozen=True)
class Looks:
    """What is kept of N examples to find those that are nearly the same.

    Attributes:
        hashes: uint64 [N, V, W], of the example as it is and of its variants.
        are_same: whether pairs of near hashes are near-duplicates indeed, bool [P]; takes int64
            [P, 3]: row, row, and the variant of the first that is meant.
        rows: N row numbers that ``are_same`` knows the examples by.
    """

    hashes: np.ndarray
    are_same: Callable[[np.ndarray], np.ndarray]
    rows: np.ndarray


def near_duplicate_groups(
    looks: Looks, sha256s: Sequence[str], max_distance: int, given_groups: Sequence[str]
) -> np.ndarray:
    """Groups of examples: each around one example, or of one given group.

    The result does not depend on the order of the rows.

    Args:
        looks: of the examples.
        sha256s: of what the N examples are known by.
        max_distance: bits of 256 in which hashes of near-duplicates may differ; negative groups
            nothing by looks.
        given_groups: N names; equal names belong together, empty ones say nothing.

    Returns:
        Group numbers [N]; equal numbers belong together.
    """
    groups = np.arange(len(given_groups))
    if max_distance >= 0 and len(groups):
        pairs = confirmed_pairs(looks, sha256s, max_distance)
        groups = _stars(pairs, sha256s)
    return _join(groups, _pairs_of_names(given_groups))


def confirmed_pairs(looks: Looks, sha256s: Sequence[str], max_distance: int) -> np.ndarray:
    """Pairs of rows that are nearly the same, int64 [P, 2], the first before the second.

    Of rows with equal hashes all are compared with that of the smallest sha256, and only this one
    with others. Arguments as of :func:`near_duplicate_groups`.
    """
    by_content = np.argsort(np.array(sha256s), kind="stable")
    table = looks.hashes[by_content].reshape(len(by_content), -1)
    _, first, of_row = np.unique(table, axis=0, return_index=True, return_inverse=True)
    one_of_each = by_content[first]
    twins = np.stack([one_of_each[of_row], by_content, np.zeros_like(by_content)], axis=1)
    pairs = near_pairs(looks.hashes[one_of_each], max_distance)
    pairs[:, :2] = one_of_each[pairs[:, :2]]
    pairs = np.concatenate([twins[twins[:, 0] != twins[:, 1]], pairs])
    known = np.stack([looks.rows[pairs[:, 0]], looks.rows[pairs[:, 1]], pairs[:, 2]], axis=1)
    pairs = pairs[looks.are_same(known), :2]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _stars(pairs: np.ndarray, sha256s: Sequence[str]) -> np.ndarray:
    """Group numbers [N]: rows with most partners first, each takes its partners that are free.

    Of rows with equally many the one with the smaller sha256 is first.
    """
    partners: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        partners.setdefault(first, []).append(second)
        partners.setdefault(second, []).append(first)
    groups = np.arange(len(sha256s))
    is_taken = np.zeros(len(sha256s), dtype=bool)
    for row in sorted(partners, key=lambda row: (-len(partners[row]), sha256s[row])):
        if not is_taken[row]:
            members = [row, *(other for other in partners[row] if not is_taken[other])]
            groups[members] = row
            is_taken[members] = True
    return groups


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
