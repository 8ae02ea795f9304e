"""Where the repository is, also from inside DVC's temporary workspaces."""

import os
from pathlib import Path


def repository_root() -> Path:
    """The main checkout: what is kept there is shared by all experiments and outlives them.

    DVC names it to every stage in ``DVC_ROOT``; a stage run by hand finds ``.dvc`` above it. A
    temporary workspace of an experiment lies in ``.dvc/tmp/exps`` of the main checkout.
    """
    here = Path.cwd()
    named = os.environ.get("DVC_ROOT")
    above = (folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir())
    root = Path(named) if named else next(above, here)
    for folder in (root, *root.parents):
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return _main_worktree(root)


def scratch_folder() -> Path:
    """Where unfinished work is kept: ``SFT_SCRATCH``, or ``.sft`` in the main checkout.

    It lies outside of what DVC deletes and of temporary workspaces. On machines that may be taken
    away, ``SFT_SCRATCH`` names a disk that stays.
    """
    named = os.environ.get("SFT_SCRATCH")
    return Path(named) if named else repository_root() / ".sft"


def _main_worktree(root: Path) -> Path:
    """The main checkout of a linked git worktree, whose ``.git`` is a file that names it."""
    pointer = root / ".git"
    if not pointer.is_file():
        return root
    target = (root / pointer.read_text().removeprefix("gitdir:").strip()).resolve()
    if target.parent.name != "worktrees":
        return root
    return target.parents[2]  # <main>/.git/worktrees/<name>
