"""YAML files as plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftcore.foundations.errors import ParamsError

PARAMS_FILE = Path("params.yaml")
_MAX_YAML_LENGTH = 1_000_000
_MAX_YAML_DEPTH = 40  # the library recurses, and thousands of lists in lists cost it seconds


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML 1.2 file, in which ``1e-5`` is a number (in YAML 1.1 it is a string).

    Raises:
        FileNotFoundError: there is no such file.
        ParamsError: it is not YAML, or longer or deeper than parameters are.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import MaxDepthExceededError

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not a file of UTF-8 text: {error}") from error
    if len(text) > _MAX_YAML_LENGTH:
        raise ParamsError(f"{path} has {len(text)} characters, {_MAX_YAML_LENGTH} are allowed")
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _MAX_YAML_DEPTH
    try:
        return yaml.load(text)
    except MaxDepthExceededError as error:
        raise ParamsError(f"{path} is nested more than {_MAX_YAML_DEPTH} deep") from error
    except Exception as error:  # the reader raises many kinds on hostile text
        raise ParamsError(f"{path} is not YAML: {str(error) or type(error).__name__}") from error


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by dotted name; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
