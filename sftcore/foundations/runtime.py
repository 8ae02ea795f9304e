"""Where numbers are computed: device, threads, determinism."""

import ctypes
from typing import TYPE_CHECKING

from sftcore.foundations.errors import DeviceError
from sftcore.foundations.randomness import make_deterministic

if TYPE_CHECKING:
    import torch


def set_up(device: str, num_threads: int, precision: str = "fp32") -> "torch.device":
    """Prepare torch for this process and return the device to use.

    Args:
        device: ``auto`` (CUDA if there is one, else CPU), ``cpu``, ``cuda`` or ``cuda:<index>``.
        num_threads: threads of one CPU operation; other counts add in another order and give
            other last digits, so the count belongs to the numbers.
        precision: of the updates, or ``auto``.

    Raises:
        DeviceError: the named CUDA device is not there.
    """
    import torch

    make_deterministic(forbid_tf32=precision not in ("tf32", "auto"))
    _keep_freed_memory()
    torch.set_num_threads(num_threads)
    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if num_devices else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= num_devices:
        raise DeviceError(
            f"runtime.device is {device!r} and torch sees {num_devices} CUDA devices: "
            "set runtime.device to 'auto' or 'cpu'"
        )
    return chosen


def _keep_freed_memory() -> None:
    """Ask glibc to reuse the memory of freed tensors instead of giving it back to the system.

    Every large activation is otherwise mapped and zeroed anew by the kernel, which costs half of a
    forward pass on CPU (EfficientNet-Lite0, 64 pictures of 128 pixels, one thread: 6.4 against
    3.2 ms a picture). It changes no number, and other C libraries do without it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # names of the options in malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
