"""Which of the project's files a stage runs, read from its imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("sftcore", "stages")
MOST = 0.6  # of a room's files
SHARED = ("foundations", "settings")  # named whole wherever they are used


def import_closure(stage: str) -> set[str]:
    """Every file that ``stages/<stage>.py`` imports, directly or not, also inside functions."""
    seen = closure_of(ROOT / "stages" / f"{stage}.py", ROOT / "stages" / "__init__.py")
    data_files = {template for file in seen for template in file.parent.glob("*.j2")}
    return {path.relative_to(ROOT).as_posix() for path in seen | data_files}


def closure_of(*files: Path) -> set[Path]:
    """These files and all that they import, directly or not, also inside functions."""
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += [found for name in _imports(file) for found in _files(name)]
    return seen


def collapse(files: set[str]) -> list[str]:
    """The same files, with rooms of which most is used named once.

    A room named whole runs a stage again for a file that it does not use; naming each file gives
    every table of DVC a column for each.
    """
    left, named = set(files), []
    for folder in sorted(path for path in (ROOT / "sftcore").iterdir() if path.is_dir()):
        inside = {p.relative_to(ROOT).as_posix() for p in folder.rglob("*") if _is_source(p)}
        used = inside & left
        if len(used) > MOST * len(inside) or (used and folder.name in SHARED):
            named.append(folder.relative_to(ROOT).as_posix())
            left -= inside
    return sorted([*named, *(name for name in left if not _says_nothing(ROOT / name))])


def _says_nothing(path: Path) -> bool:
    """Whether it is a package's file with nothing but a docstring."""
    if path.name != "__init__.py":
        return False
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)


def _is_source(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def _files(name: str) -> list[Path]:
    """The module's file and those of the packages around it."""
    parts = name.split(".")
    candidates = [ROOT.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    modules = [ROOT.joinpath(*parts).with_suffix(".py")]
    return [path for path in [*(c / "__init__.py" for c in candidates), *modules] if path.is_file()]
