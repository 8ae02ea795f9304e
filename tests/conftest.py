"""Fixtures that several test files share."""

import os
import platform
from pathlib import Path

from sftcore.foundations.instruction_set import PORTABLE

# Tests run side by side, one a core, with the same kernels on every make of CPU; read by NumPy and
# torch when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.update(PORTABLE)

import pytest

from sftcore.data.pictures.decode import Decoding
from sftcore.data.pictures.kind import PictureKind
from sftcore.data.prepare import prepare
from sftcore.data.store import Store, open_store
from tests.pictures import write_folders

DECODING = Decoding(image_size=32, max_pixels=10_000, background=(255, 255, 255))
PREPARE = {
    "source": "folder",
    "table": "labels.csv",
    "kind": PictureKind(DECODING),
    "max_refused_fraction": 0.2,
    "min_per_class": 3,
    "near_duplicate_distance": 24,
    "val_fraction": 0.25,
    "test_fraction": 0.25,
    "split_seed": 0,
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that are given more time come first, so that no worker is alone with one at the end."""
    usual = float(config.getini("timeout"))

    def given_time(item: pytest.Item) -> float:
        mark = item.get_closest_marker("timeout")
        return mark.args[0] if mark else usual

    items.sort(key=given_time, reverse=True)  # the others stay in order


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the experiment or the store that its caller set."""
    for name in [n for n in os.environ if n.startswith(("DVC_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of 36 small pictures in three classes."""
    root = tmp_path_factory.mktemp("set")
    source = write_folders(root / "pictures")
    prepare(**PREPARE, path=source, output=root / "prepared")
    return root / "prepared"


@pytest.fixture
def store(prepared: Path) -> Store:
    """The prepared pictures, opened for training."""
    return open_store(prepared, ("train", "val"))
