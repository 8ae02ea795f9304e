"""What is kept of a text for finding others that are nearly the same: 16 minima of its grams.

MinHash (Broder, 1997, section 3): under a random order of all grams two texts have the same first
gram with a probability of their Jaccard similarity. Of each of 16 orders 16 bits of the first gram
are kept (b-bit minwise hashing; Li and König, 2010), so texts of similarity J differ in about
128·(1 − J) of 256 bits, and in each piece of 16 bits they agree with probability J. Pairs are found
by equal pieces, see :mod:`sftcore.data.hash_pairs`. A SimHash of the same size spreads a changed
word over all pieces, and the search then finds no more than two thirds of such texts.

All is of whole numbers, so it is equal on every processor.
"""

import numpy as np

GRAM = 4  # characters
_NUM_ORDERS = 16
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LOW_BITS = np.uint64(0xFFFF)


def folded(text: str) -> str:
    """The text without what an edit of case, punctuation or spaces changes.

    A text of nothing but signs stays as it is, so that it is not like every other of them.
    """
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return " ".join(words) or text


def character_grams(text: str) -> np.ndarray:
    """Numbers of the different runs of four characters of the folded text with a space around it.

    A text of fewer characters has one.

    Returns:
        uint64 [G], ascending, G at least 1.
    """
    padded = f" {folded(text)} ".ljust(GRAM, "\0")
    points = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    count = len(points) - GRAM + 1
    numbers = np.zeros(count, dtype=np.uint64)
    for place in range(GRAM):
        numbers = _mixed(numbers ^ points[place : place + count].astype(np.uint64))
    return np.unique(numbers)


def min_hashes(grams: np.ndarray) -> np.ndarray:
    """256 bits of which texts with common grams have many in common.

    Args:
        grams: of :func:`character_grams` [G].

    Returns:
        uint64 [1, 4]: a text has no variants.
    """
    orders = _mixed(np.arange(_NUM_ORDERS, dtype=np.uint64))
    least = np.array([_mixed(grams ^ order).min() for order in orders], dtype=np.uint64)
    return (_mixed(least) & _LOW_BITS).astype(np.uint16).view(np.uint64)[None]


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's step and finish (Steele, Lea and Flood, 2014, figure 17): every bit counts."""
    mixed = numbers + _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FACTORS[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _FACTORS[1]
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray(mixed)
