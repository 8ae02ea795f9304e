"""Same bytes at every instruction set? ``python -m reliability.instruction_sets``.

Trains a small network in processes whose environment forces lower levels on the libraries, as on a
lesser machine, once with ``runtime.mode: portable`` and once with ``native``, and prints a hash of
the trained parameters for each. Exit code 1 if a portable one differs. What a variable cannot force
(another microarchitecture's MKL, another libm) this does not show.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from sftcore.foundations.instruction_set import PORTABLE, choose_instruction_set

NO_AVX512 = ",".join(f"-AVX512{part}" for part in ("F", "VL", "BW", "DQ", "CD"))
OUTSIDE: dict[str, dict[str, str]] = {
    "as it is": {},
    "ATen at its lowest": {"ATEN_CPU_CAPABILITY": "default"},
    "oneDNN at SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "MKL at AVX2": {"MKL_CBWR": "AVX2"},
    "C library without AVX-512": {"GLIBC_TUNABLES": f"glibc.cpu.hwcaps={NO_AVX512}"},
    "C library without AVX2 and FMA": {
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={NO_AVX512},-AVX2,-FMA,-FMA4"
    },
    "OpenBLAS and NumPy at their lowest": {
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
    "eight threads asked for": {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"},
}


def digest(mode: str, num_updates: int = 4) -> str:
    """Hash of a network's parameters after some updates, and of what NumPy makes of its answers."""
    choose_instruction_set(mode)
    import numpy as np
    import torch

    from sftcore.foundations.artifacts import sha256_bytes
    from sftcore.foundations.randomness import torch_stream
    from sftcore.foundations.runtime import set_up
    from sftcore.models.start import build_start
    from sftcore.tasks.classification.loss import classification_loss, probabilities

    device = set_up("cpu", 1)
    start = build_start(
        backbone="timm/test_efficientnet", weights="none", num_classes=7, image_size=64,
        dropout=0.0, seed=0, device=device,
    )  # fmt: skip
    network = start.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    pictures = torch.rand((16, 3, 64, 64), generator=torch_stream(0, "pictures"))
    targets = torch.arange(16) % 7
    for _ in range(num_updates):
        optimizer.zero_grad()
        classification_loss(network(pictures), targets, 0.1).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    tensors = [*network.state_dict().values(), probabilities(network.eval()(pictures)).detach()]
    arrays = [tensor.contiguous().numpy() for tensor in tensors]
    arrays.append(np.log(arrays[-1].astype(float)) + np.exp(arrays[-1].astype(float)))
    return sha256_bytes(b"".join(array.tobytes() for array in arrays))[:16]


def digest_elsewhere(mode: str, environment: dict[str, str]) -> str:
    """:func:`digest` in a process with other environment variables."""
    plain = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    done = subprocess.run(
        [sys.executable, "-m", "reliability.instruction_sets", "--mode", mode],
        cwd=Path(__file__).parent.parent, env=plain | environment, text=True, check=True,
        capture_output=True, timeout=300,
    )  # fmt: skip
    return done.stdout.strip()


def main() -> None:
    """Print the table, or with ``--mode`` one hash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("portable", "native"))
    mode = parser.parse_args().mode
    if mode:
        print(digest(mode))
        return
    print("| forced from outside | portable | native |\n|---|---|---|")
    found = set()
    for name, environment in OUTSIDE.items():
        portable, native = (digest_elsewhere(mode, environment) for mode in ("portable", "native"))
        found.add(portable)
        print(f"| {name} | {portable} | {native} |", flush=True)
    sys.exit(len(found) > 1)


if __name__ == "__main__":
    main()
