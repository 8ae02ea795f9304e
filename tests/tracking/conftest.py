"""A folder that stands for the repository, with a store of its own."""

import shutil
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sqlite store without experiments of ours: copying one is quicker than making one."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with warnings.catch_warnings(action="ignore"):
        mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def new_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the repository before its first run."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def root(new_root: Path, empty_store: Path) -> Path:
    """A folder that stands for the repository, with a store of its own."""
    shutil.copy(empty_store, new_root)
    return new_root
