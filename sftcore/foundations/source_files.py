"""Which source files of a package a module runs, read from its imports."""

import ast
from collections.abc import Iterable
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
    there = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += there & _may_be_run((package / name).read_bytes())
    return sorted(package / name for name in seen)


@lru_cache(maxsize=2048)
def _may_be_run(source: bytes) -> frozenset[str]:
    """Paths, relative to the package, of what is imported; a name may be of what a module holds."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    paths: set[str] = set()
    for name in names:
        first, *parts = name.split(".")
        if first == _PACKAGE:
            folders = ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]
            paths |= {f"{folder}/__init__.py".lstrip("/") for folder in folders}
            paths.add(f"{folders[-1]}.py")
    return frozenset(paths)
