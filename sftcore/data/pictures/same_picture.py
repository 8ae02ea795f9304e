"""Whether two pictures with near hashes are the same one, by their pixels.

The edges (Laplacian) of one are explained by the edges of the other's colour channels and by small
shifts and stretches of them, by least squares. What part is explained does not change when a
channel is scaled or shifted, and bears the misfit that a crop leaves. All sums are exact, and the
few equations are solved in a fixed order without a library: equal on every processor.
"""

import numpy as np

from sftcore.data.pictures.fingerprints import FIRST_CROP, MIRRORED, SMALL_SIDE, VARIANTS, WHOLE

_SIDE = 24
_WEIGHT_SCALE = 1 << 12
_GREY_UNITS = 16  # of one step of a channel, in a thumbnail
_PAIRS_AT_ONCE = 512
_RIDGE = 1e-3
# Correlation of the edges from which on two pictures are one. Measured: benchmarks.near_duplicates.
LEAST_CORRELATION = 0.95
# Edges as weak as noise of one step of a channel: a blank picture.
_BLANK = 20.0 * _GREY_UNITS**2 * (_SIDE - 4) ** 2
_STEPS = 2  # of Gauss and Newton, for crops
_LEAST_GAIN = 0.1  # of the second picture's edges, as part of the first's, for a shift to be told
_MOST_CHANGE = np.array([1.5, 0.06, 1.5, 0.06])  # thumbnail pixels, part; likewise of columns
_LUMA = np.array([299.0, 587.0, 114.0])


def are_same(small: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether the second picture of each pair is the named variant of the first, or it itself.

    Args:
        small: uint8 [N, 64, 64, 3]; may be a memory map.
        pairs: int64 [P, 3]: row, row, and number of the variant of the first that is meant, see
            :data:`sftcore.data.pictures.fingerprints.VARIANTS`.

    Returns:
        bool [P].
    """
    found = np.zeros(len(pairs), dtype=bool)
    for variant in np.unique(pairs[:, 2]).tolist():
        places = np.flatnonzero(pairs[:, 2] == variant)
        for start in range(0, len(places), _PAIRS_AT_ONCE):
            piece = places[start : start + _PAIRS_AT_ONCE]
            first, second = small[pairs[piece, 0]], small[pairs[piece, 1]]
            found[piece] = _agree(first, second, variant)
    return found


def _agree(first: np.ndarray, second: np.ndarray, variant: int) -> np.ndarray:
    if variant == MIRRORED:
        first = first[:, :, ::-1]
    rows, columns = (np.tile(window, (len(first), 1)) for window in VARIANTS[variant])
    whole = np.tile(WHOLE, (len(first), 1))
    changed, plain = _edges(first, rows, columns), _edges(second, whole, whole)
    explained, places = _explained(changed, plain)
    if variant < FIRST_CROP:  # neither is the original
        explained = np.maximum(explained, _explained(plain, changed)[0])
    else:  # look again where the shifts and stretches point to
        for _ in range(_STEPS):
            rows, columns = _moved(rows, places[:, 0]), _moved(columns, places[:, 1])
            again, places = _explained(_edges(first, rows, columns), plain)
            explained = np.maximum(explained, again)
    is_blank = np.stack([_strength(edges) < _BLANK for edges in (changed, plain)])
    return np.where(is_blank.any(axis=0), is_blank.all(axis=0), explained >= LEAST_CORRELATION**2)


def _strength(edges: np.ndarray) -> np.ndarray:
    """Sum of squares of the grey edges but the outermost, [P]."""
    return np.asarray((_grey(edges)[:, 1:-1, 1:-1] ** 2).sum(axis=(1, 2)))


def _moved(windows: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Windows [P, 2] shifted by change[:, 0] thumbnail pixels, stretched by 1 + change[:, 1]."""
    low, high = windows.T
    step = (high - low) / _SIDE
    centre = (low + high) / 2 + change[:, 0] * step
    half = (high - low) / 2 * (1 + change[:, 1])
    return np.stack([centre - half, centre + half], axis=1)


def _edges(small: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Laplacian of a 24 x 24 thumbnail of a part, whole numbers [P, 3, 22, 22]."""
    channels = small.transpose(0, 3, 1, 2).astype(np.float64)
    weights = _weights(rows)[:, None], _weights(columns)[:, None].transpose(0, 1, 3, 2)
    sums = weights[0] @ channels @ weights[1]
    thumb = np.floor(sums * (_GREY_UNITS / _WEIGHT_SCALE**2) + 0.5)
    return (
        4 * thumb[..., 1:-1, 1:-1]
        - thumb[..., 2:, 1:-1]
        - thumb[..., :-2, 1:-1]
        - thumb[..., 1:-1, 2:]
        - thumb[..., 1:-1, :-2]
    )


def _weights(windows: np.ndarray) -> np.ndarray:
    """Whole-numbered weights [P, 24, 64] of a triangular filter, the sum of each row equal."""
    low, high = windows.T[:, :, None, None]
    step = (high - low) / _SIDE
    centre = low + step * (np.arange(_SIDE)[:, None] + 0.5)
    weight = np.maximum(0, 1 - abs(np.arange(SMALL_SIDE) + 0.5 - centre) / step)
    total = np.maximum(weight.sum(axis=2, keepdims=True), 1e-9)
    whole = np.round(weight / total * _WEIGHT_SCALE)
    lacking = _WEIGHT_SCALE - whole.sum(axis=2, keepdims=True)
    fullest = whole.argmax(axis=2)[:, :, None]
    return whole + lacking * (np.arange(SMALL_SIDE) == fullest)


def _grey(edges: np.ndarray) -> np.ndarray:
    """Edges of the grey picture, whole numbers [P, 22, 22]."""
    red, green, blue = (edges[:, channel] * _LUMA[channel] for channel in range(3))
    return np.floor((red + green + blue) / 1000)


def _explained(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the target's grey edges' variance that the source explains, and where it lies.

    Args:
        source: edges [P, 3, 22, 22].
        target: the same of the other pictures.

    Returns:
        R^2 [P], and shift in thumbnail pixels and stretch of rows and of columns [P, 2, 2].
    """
    grey = _grey(source)
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    place = 2.0 * np.arange(across.shape[2]) - (across.shape[2] - 1)
    moved = [down, down * place[:, None], across, across * place]
    columns = [*source[:, :, 1:-1, 1:-1].transpose(1, 0, 2, 3), *moved]
    columns.append(_grey(target)[:, 1:-1, 1:-1])
    table = np.stack(columns, axis=1).reshape(len(source), len(columns), -1)
    # Exact: products below 2^42, sums of 400 of them.
    sums = table.sum(axis=2)
    products = table @ table.transpose(0, 2, 1) - (
        sums[:, :, None] * sums[:, None, :] / table.shape[2]
    )
    explained, factors = _solve(products)
    gain = factors[:, 0] + factors[:, 1] + factors[:, 2]
    gain = np.where(abs(gain) < _LEAST_GAIN, np.inf, gain)
    # Differences reach over two pixels, and places count half pixels: 2 and 4. Half of that,
    # since such differences make edges as narrow as these too flat, and a step would go too far.
    change = factors[:, 3:] / gain[:, None] * np.array([1.0, 2.0, 1.0, 2.0])
    return explained, np.clip(change, -_MOST_CHANGE, _MOST_CHANGE).reshape(-1, 2, 2)


def _solve(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R^2 [P] and factors [P, K] of the regression of the last variable on the others.

    Gauss's elimination by hand, with a small ridge; a library may add in another order.

    Args:
        products: centred sums of products [P, K + 1, K + 1].
    """
    work = products.copy()
    count = work.shape[1] - 1
    for k in range(count):
        work[:, k, k] += _RIDGE * products[:, k, k] + 1.0
    for k in range(count):
        factor = work[:, k + 1 :, k] / work[:, k, k, None]
        work[:, k + 1 :, k + 1 :] -= factor[:, :, None] * work[:, k, None, k + 1 :]
    factors = np.zeros((len(work), count))
    for k in reversed(range(count)):
        rest = work[:, k, -1].copy()
        for later in range(k + 1, count):
            rest -= work[:, k, later] * factors[:, later]
        factors[:, k] = rest / work[:, k, k]
    return 1 - work[:, -1, -1] / np.maximum(products[:, -1, -1], 1.0), factors
