"""Random streams keyed by (seed, purpose, epoch, ...), and the switch for determinism.

No stream advances by itself: every draw is a function of its key, so that a resumed run, another
batch order or another number of workers draws the same numbers.
"""

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_SEED_BYTES = 8


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


def torch_stream(seed: int, *key: str | int) -> "torch.Generator":
    """A CPU ``torch.Generator`` for the stream that ``key`` names."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *key))


def seed_global(seed: int, *key: str | int) -> None:
    """Seed torch's global streams, which dropout draws from, for one step or one initialisation."""
    import torch

    torch.manual_seed(derive_seed(seed, *key))


def make_deterministic(*, forbid_tf32: bool = True) -> None:
    """Ask torch for deterministic algorithms, and for full float32 products on CUDA.

    An operation that has no deterministic form raises an error instead of giving other numbers.

    Args:
        forbid_tf32: whether the short type is forbidden to every library for good; without it it
            is off until :func:`sftcore.stability.precision.computed_in` asks for it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if forbid_tf32:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # whatever a library asks for
    import torch

    torch.use_deterministic_algorithms(True)
    # No operation here reads memory that it has not written; filling it first costs 5 %.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
