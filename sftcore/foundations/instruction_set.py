"""Which kernels a CPU gets, fixed before the libraries choose for themselves.

They pick kernels by what the CPU can do, and each kernel adds in an order of its own: AVX-512 and
AVX2 give other last digits. This file is imported before NumPy and torch, so it imports neither.
"""

import os
import platform
import sys

from sftcore.foundations.errors import DeviceError

# ATen (aten/src/ATen/cpu) and oneDNN ("CPU dispatcher control") at AVX2, which x86-64 CPUs have had
# since about 2015; MKL ("Conditional numerical reproducibility") at the only path that CPUs of all
# makers share; NumPy ("Runtime dispatch") and OpenBLAS without AVX-512.
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}
# How often libgomp's threads look before they sleep, while they wait for others: 300,000 times
# where nothing is set. Beside other programs that takes the cores from those that are waited for,
# and a sleep at once costs an idle machine some percent (``python -m benchmarks.waiting``).
_SPINS, _SPIN_COUNT = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"), "10000"


def choose_for_torch(mode: str) -> bool:
    """Hold torch alone to one level, in a process that others began and that has NumPy already.

    Args:
        mode: ``portable`` or ``native``.

    Returns:
        Whether torch computes at this level; it cannot be changed once torch has begun.
    """
    if mode == "native":
        return not any(os.environ.get(name) == level for name, level in PORTABLE.items())
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    if "torch" not in sys.modules:
        os.environ.update(PORTABLE)
    import torch

    is_set = all(os.environ.get(name) == level for name, level in PORTABLE.items())
    return is_set and bool(torch.backends.cpu.get_cpu_capability() == "AVX2")


def choose_instruction_set(mode: str) -> None:
    """Hold the libraries to one level, and let waiting threads sleep soon; workers inherit it.

    On other architectures than x86-64, and with ``native``, all levels stay. What a caller has set
    of waiting stays.

    Args:
        mode: ``portable`` or ``native``.

    Raises:
        DeviceError: the CPU has no AVX2.
        RuntimeError: NumPy or torch has been imported and has chosen already.
    """
    if not os.environ.keys() & set(_SPINS):
        os.environ[_SPINS[0]] = _SPIN_COUNT
    if mode == "native" or platform.machine().lower() not in ("x86_64", "amd64"):
        return
    if too_early := {"numpy", "torch"} & sys.modules.keys():
        raise RuntimeError(f"choose the instruction set before {too_early} is imported")
    os.environ.update(PORTABLE)
    import torch

    chosen = torch.backends.cpu.get_cpu_capability()
    if chosen != "AVX2":
        raise DeviceError(
            f"runtime.mode is 'portable' and torch can compute with {chosen} alone, not with AVX2: "
            "set runtime.mode to 'native', whose numbers hold on CPUs like this one"
        )
