"""Where numbers are computed: device, threads, determinism."""

from typing import TYPE_CHECKING

from sftcore.errors import DeviceError
from sftcore.randomness import make_deterministic

if TYPE_CHECKING:
    import torch


def set_up(device: str, num_threads: int) -> "torch.device":
    """Prepare torch for this process and return the device to use.

    Args:
        device: ``auto`` (CUDA if there is one, else CPU), ``cpu``, ``cuda`` or ``cuda:<index>``.
        num_threads: threads of one CPU operation; other counts add in another order and give
            other last digits, so the count belongs to the numbers.

    Raises:
        DeviceError: the named CUDA device is not there.
    """
    import torch

    make_deterministic()
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
