"""The kernels that a model's record names, chosen before NumPy and torch are imported."""

import json
from contextlib import suppress
from pathlib import Path

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.instruction_set import choose_instruction_set


def choose_kernels(folder: Path) -> None:
    """Hold the libraries to the level at which the model was measured.

    What is wrong with the record is said by whoever loads the model.

    Args:
        folder: of the model.

    Raises:
        DeviceError: the CPU has no AVX2.
    """
    mode = "native"
    with suppress(OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        mode = str(read_json(folder / "model.json")["mode"])
    choose_instruction_set(mode)
