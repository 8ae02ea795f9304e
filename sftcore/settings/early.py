"""What must be read of params.yaml before NumPy and torch are imported."""

from pathlib import Path

from sftcore.foundations.instruction_set import choose_instruction_set
from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.foundations.yaml_files import PARAMS_FILE
from sftcore.settings.reading import Sections, load_sections


class _Early(Sections):
    """Where the numbers are computed."""

    runtime: RuntimeSettings = RuntimeSettings()


def choose_kernels(path: Path = PARAMS_FILE) -> None:
    """Hold the libraries to the kernels of ``runtime.mode``.

    Args:
        path: of params.yaml.

    Raises:
        ParamsError: the section runtime has faults.
        DeviceError: see :func:`sftcore.foundations.instruction_set.choose_instruction_set`.
    """
    choose_instruction_set(load_sections(_Early, path).runtime.mode)
