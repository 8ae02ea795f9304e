"""What several people and several branches do with DVC: share, go back, apply, change the grid."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.project import (
    copy_project,
    digests,
    dvc_here,
    git,
    set_params,
)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def project(finished_project: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil, without the scratch folder that would save it work."""
    return copy_project(finished_project, tmp_path / "project", ".sft", "mlflow.db", "mlartifacts")


def test_a_fresh_clone_pulls_what_another_has_computed(project: Path, tmp_path: Path) -> None:
    remote, clone = tmp_path / "remote", tmp_path / "somewhere" / "clone"
    dvc_here(project, "remote", "add", "-d", "local", str(remote))
    dvc_here(project, "push", "--run-cache")
    git(project, "add", "-A")
    git(project, "commit", "-m", "remote")
    subprocess.run(["git", "clone", "-q", str(project), str(clone)], check=True)
    said = dvc_here(clone, "repro", "--pull")
    assert "Running stage" not in said
    assert digests(clone) == digests(project)
    assert (clone / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()
    assert "up to date" in dvc_here(clone, "repro")


def test_an_earlier_commit_comes_from_the_run_cache(project: Path) -> None:
    first = digests(project)
    set_params(project, {"evaluate.num_bootstrap": 150})
    said = dvc_here(project, "repro")
    assert "Running stage 'evaluate'" in said
    assert "Running stage 'finetune'" not in said
    second = digests(project)
    assert second != first
    git(project, "commit", "-am", "second run")
    git(project, "checkout", "HEAD~1", "--", "params.yaml")
    assert "Running stage" not in dvc_here(project, "repro").replace("Running stage 'check'", "")
    assert digests(project) == first


def test_a_removed_row_leaves_the_report_and_the_others_are_not_trained(project: Path) -> None:
    def screened() -> list[str]:
        table = pd.read_csv(project / "reports" / "ablation" / "screen.csv")
        return table["row"].tolist()

    def cells() -> dict[str, int]:
        files = (project / ".sft/cells").iterdir()
        return {path.name: path.stat().st_mtime_ns for path in files}

    assert screened() == ["none", "l1"]
    rows = {"none": {}, "l1": {"train.penalties.l1": 0.001}, "decay": {"train.weight_decay": 0.1}}
    set_params(project, {"study.screen.rows": rows})
    dvc_here(project, "repro", "ablate")
    assert screened() == ["none", "l1", "decay"]
    kept = cells()
    del rows["l1"]
    set_params(project, {"study.screen.rows": rows})
    dvc_here(project, "repro", "ablate")
    assert screened() == ["none", "decay"]
    for name in ("parts.json", "cells.csv", "screen.csv"):
        assert "l1" not in (project / "reports" / "ablation" / name).read_text()
    after = cells()
    assert kept.items() <= after.items()
    assert len(after) - len(kept) in (0, 2)  # another best row may have come to be confirmed


def test_a_failed_stage_leaves_earlier_outputs_in_reach(project: Path) -> None:
    before = digests(project)
    set_params(project, {"runtime.device": "cuda:7"})
    dvc_here(project, "repro", fails=True)
    git(project, "checkout", "--", "params.yaml")
    dvc_here(project, "checkout")
    assert digests(project) == before
