"""Random streams keyed by (seed, purpose, epoch, ...), and the switch for determinism.

No stream advances by itself: every draw is a function of its key, so that a resumed run, another
batch order or another number of workers draws the same numbers.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sftcore.foundations.square_roots import round_square_roots

if TYPE_CHECKING:
    import torch

_SEED_BYTES = 8
_WORD = 0xFFFFFFFF  # 32 bits
_PHILOX_FACTORS = (0xD2511F53, 0xCD9E8D57)
_PHILOX_STEPS = (0x9E3779B9, 0xBB67AE85)  # of the key, from round to round
_PHILOX_ROUNDS = 10


def derive_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed for the stream that ``key`` names.

    Args:
        seed: the run's seed.
        key: purpose and counters, e.g. ``("order", epoch)``.
    """
    text = "/".join([str(seed), *(str(part) for part in key)])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big") >> 1


def numpy_stream(seed: int, *key: str | int) -> np.random.Generator:
    """A NumPy generator (Philox, counter based) for the stream that ``key`` names."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *key)))


def row_uniforms(seed: int, *key: str | int, rows: np.ndarray, num: int) -> np.ndarray:
    """Random numbers of some rows, each row's a function of (seed, key, row) alone.

    They cost what the asked rows cost, however many rows there are: the row is the counter of a
    counter-based generator.

    Args:
        seed: the run's seed.
        key: purpose and counters, e.g. ``("augmentation", epoch)``.
        rows: counters in [0, 2⁶³), integers [B].
        num: numbers per row.

    Returns:
        Uniform numbers in [0, 1) of 53 bits, float64 [B, num].
    """
    derived, num_blocks = derive_seed(seed, *key), -(-num // 2)
    counters = np.asarray(rows, dtype=np.uint64)[:, None]
    low, high, block, zero = np.broadcast_arrays(
        counters & _WORD,
        counters >> np.uint64(32),
        np.arange(num_blocks, dtype=np.uint64),
        np.uint64(0),
    )
    words = philox([low, high, block, zero], (derived & _WORD, derived >> 32))
    halves = np.stack([words[0], words[2]], -1), np.stack([words[1], words[3]], -1)
    whole = (halves[0] >> np.uint64(5) << np.uint64(26)) + (halves[1] >> np.uint64(6))
    return (whole * 2.0**-53).reshape(len(counters), 2 * num_blocks)[:, :num]


def philox(counter: Sequence[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Philox-4x32-10, which turns a counter into random words.

    (Salmon et al., 2011, Parallel random numbers: as easy as 1, 2, 3, section 4.3.)

    Args:
        counter: four arrays of one shape, uint64 below 2³².
        key: two numbers below 2³².

    Returns:
        Four arrays of that shape, uint64 below 2³².
    """
    factors = [np.uint64(factor) for factor in _PHILOX_FACTORS]
    shift, word = np.uint64(32), np.uint64(_WORD)
    a, b, c, d = counter
    for number in range(_PHILOX_ROUNDS):
        first, second = (
            np.uint64((k + number * step) & _WORD)
            for k, step in zip(key, _PHILOX_STEPS, strict=True)
        )
        left, right = a * factors[0], c * factors[1]
        a, b = (right >> shift) ^ b ^ first, right & word
        c, d = (left >> shift) ^ d ^ second, left & word
    return [a, b, c, d]


def torch_stream(seed: int, *key: str | int) -> "torch.Generator":
    """A CPU ``torch.Generator`` for the stream that ``key`` names."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *key))


def seed_global(seed: int, *key: str | int) -> None:
    """Seed torch's global streams, which dropout draws from, for one step or one initialisation.

    Without CUDA that of the CPU alone: ``torch.manual_seed`` writes down the call stack for each
    other kind of device, in case it comes to be used.
    """
    import torch

    derived = derive_seed(seed, *key)
    if torch.cuda.is_available():
        torch.manual_seed(derived)
    else:
        torch.default_generator.manual_seed(derived)


def make_deterministic(*, forbid_tf32: bool = True) -> None:
    """Ask torch for deterministic algorithms, and for full float32 products on CUDA.

    An operation that has no deterministic form raises an error instead of giving other numbers.
    Roots on the CPU are those of :mod:`sftcore.foundations.square_roots`.

    Args:
        forbid_tf32: whether the short type is forbidden to every library for good; without it it
            is off until :func:`sftcore.stability.precision.computed_in` asks for it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if forbid_tf32:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # whatever a library asks for
    import torch

    round_square_roots()
    # The same switch as use_deterministic_algorithms, which imports torch's compiler as well: 2 s.
    torch.set_deterministic_debug_mode("error")
    # No operation here reads memory that it has not written; filling it first costs 5 %.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
