"""Which DVC experiment, stage and git commit a run belongs to."""

import os
import subprocess


def experiment_name() -> str:
    """The DVC experiment that is being run, or nothing."""
    return os.environ.get("DVC_EXP_NAME", "")


def context_tags() -> dict[str, str]:
    """Which DVC experiment, stage and git commit a run belongs to, as far as they are known."""
    commit, is_dirty = commit_of_run()
    names = {
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV", ""),
        "dvc.stage": os.environ.get("DVC_STAGE", ""),
        "mlflow.source.git.commit": commit,
    }
    if commit:
        names["git.dirty"] = str(is_dirty)
    return {name: value for name, value in names.items() if value}


def commit_of_run() -> tuple[str, bool]:
    """The commit that is checked out, if git knows one, and whether tracked files differ."""
    commit = _git("rev-parse", "HEAD").strip()
    return commit, bool(commit and _git("status", "--porcelain", "--untracked-files=no"))


def baseline_revision() -> str:
    """The commit that the DVC experiment began from; without one, the last."""
    return os.environ.get("DVC_EXP_BASELINE_REV", "") or "HEAD"


def changed_files(revision: str, other: str, *, here: bool) -> list[str]:
    """Files that differ between two commits; none where git does not know them.

    Args:
        revision: of git.
        other: likewise.
        here: only those of the working directory, by their paths within it.
    """
    scope = ("--relative",) if here else ()
    return _git("diff", "--name-only", *scope, revision, other).splitlines()


def file_at(revision: str, path: str) -> str:
    """Content of a file of the current folder in a commit; empty if git does not know it."""
    return _git("show", f"{revision}:./{path}")


def _git(*arguments: str) -> str:
    """What git prints, or nothing; it takes no lock that DVC may want."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return ""
