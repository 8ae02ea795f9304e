"""Where the repository is, also from its examples and from DVC's temporary workspaces."""

import os
from pathlib import Path

EXAMPLES = "examples"  # holds a folder with a pipeline of its own for each further task


def repository_root() -> Path:
    """The main checkout: what is kept there is shared by all experiments and outlives them.

    DVC names it to every stage in ``DVC_ROOT``; a stage run by hand finds ``.dvc`` above it. A
    temporary workspace of an experiment lies in ``.dvc/tmp/exps`` of the main checkout, and an
    example, which is a DVC repository of its own, in the folder ``examples``.
    """
    here = Path.cwd()
    named = os.environ.get("DVC_ROOT")
    above = (folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir())
    root = Path(named) if named else next(above, here)
    for folder in (root, *root.parents):
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return _around_example(folder.parents[2])
    return _main_worktree(_around_example(root))


def example_name(folder: Path | None = None) -> str:
    """Name of the example that a folder, or the working directory, is; empty for the top.

    Args:
        folder: that holds params.yaml.
    """
    here = (folder or Path.cwd()).absolute()
    is_inside = here.parent.name == EXAMPLES and (here.parents[1] / ".dvc").is_dir()
    return here.name if is_inside else ""


def make_command(goal: str = "") -> str:
    """What a user types at the top to make something of this folder: ``make advice TASK=...``.

    Args:
        goal: of the Makefile; empty for its first.
    """
    name = example_name()
    return " ".join(word for word in ("make", goal, f"TASK={name}" if name else "") if word)


def from_the_top(path: Path) -> Path:
    """A path of this folder as it is seen from the top, where ``make`` is typed."""
    name = example_name()
    return Path(EXAMPLES, name, path) if name else path


def scratch_folder() -> Path:
    """Where unfinished work is kept: ``SFT_SCRATCH``, or ``.sft`` in the main checkout.

    It lies outside of what DVC deletes and of temporary workspaces. On machines that may be taken
    away, ``SFT_SCRATCH`` names a disk that stays.
    """
    named = os.environ.get("SFT_SCRATCH")
    return Path(named) if named else repository_root() / ".sft"


def _around_example(root: Path) -> Path:
    """The repository that an example is part of."""
    return root.parents[1] if example_name(root) else root


def _main_worktree(root: Path) -> Path:
    """The main checkout of a linked git worktree, whose ``.git`` is a file that names it."""
    pointer = root / ".git"
    if not pointer.is_file():
        return root
    target = (root / pointer.read_text().removeprefix("gitdir:").strip()).resolve()
    if target.parent.name != "worktrees":
        return root
    return target.parents[2]  # <main>/.git/worktrees/<name>
