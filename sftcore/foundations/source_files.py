"""Which source files of a package a module runs, read from its imports."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

_PACKAGE = "sftcore"  # as imports name it


def import_closure(package: Path, roots: Iterable[str]) -> list[Path]:
    """Some files of a package and all that they import of it, directly or not, ascending.

    Imports inside of functions count; importing a module runs the packages around it.

    Args:
        package: folder of the package, or of a copy under another name.
        roots: paths relative to it.

    Raises:
        FileNotFoundError: a root is not there.
    """
    seen: set[Path] = set()
    waiting = [package / name for name in roots]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += _imported(package, file)
    return sorted(seen)


def _imported(package: Path, file: Path) -> Iterator[Path]:
    """Files of the package that a file's imports run."""
    for name in _names(file.read_bytes()):
        parts = name.split(".")[1:]
        folders = (package.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))
        for path in (*(folder / "__init__.py" for folder in folders), _module(package, parts)):
            if path.is_file():
                yield path


def _module(package: Path, parts: list[str]) -> Path:
    return package.joinpath(*parts).with_suffix(".py") if parts else package / "__init__.py"


@lru_cache(maxsize=2048)
def _names(source: bytes) -> frozenset[str]:
    """Dotted names of ours that are imported, of modules or of what is in them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.partition(".")[0] == _PACKAGE)
