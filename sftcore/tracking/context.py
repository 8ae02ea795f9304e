"""Which DVC experiment, stage and git commit a run belongs to."""

import os
import subprocess


def experiment_name() -> str:
    """The DVC experiment that is being run, or nothing."""
    return os.environ.get("DVC_EXP_NAME", "")


def context_tags() -> dict[str, str]:
    """Which DVC experiment, stage and git commit a run belongs to, as far as they are known."""
    names = {
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV", ""),
        "dvc.stage": os.environ.get("DVC_STAGE", ""),
        "mlflow.source.git.commit": (commit := _git("rev-parse", "HEAD").strip()),
    }
    if commit:
        names["git.dirty"] = str(bool(_git("status", "--porcelain", "--untracked-files=no")))
    return {name: value for name, value in names.items() if value}


def _git(*arguments: str) -> str:
    """What git prints, or nothing; it takes no lock that DVC may want."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return ""
