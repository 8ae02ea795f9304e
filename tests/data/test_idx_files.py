"""MNIST's kind of files, wherever they lie, gzipped or not, without a download."""

import gzip
import shutil
from pathlib import Path

import pytest
from torchvision import datasets

from sftcore.data.sources import open_source
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.errors import DataError
from tests.data.test_sources import lay_out_fashion_mnist

NAME = "torchvision:FashionMNIST"


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        datasets.FashionMNIST, "download", lambda _: pytest.fail("a download was tried")
    )


def facts(path: Path, source: str = NAME) -> set[tuple[str, str, str, str]]:
    items = open_source(source, path, "").items
    return {(i.id, i.label, i.split, sha256_bytes(i.read())) for i in items}


@pytest.mark.parametrize("kind", ["gz", "raw", "both"])
@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "raw", ".", "deep/er"])
def test_the_same_pictures_from_wherever_they_lie(tmp_path: Path, folder: str, kind: str) -> None:
    lay_out_fashion_mnist(tmp_path / "laid")
    by_torchvision = datasets.FashionMNIST(tmp_path / "laid", train=False)
    target = tmp_path / "set" / folder
    target.mkdir(parents=True)
    for file in (tmp_path / "laid" / "FashionMNIST" / "raw").iterdir():
        if kind == "both" or (file.suffix == ".gz") == (kind == "gz"):
            shutil.copyfile(file, target / file.name)
    before = sorted((tmp_path / "set").rglob("*"))
    found = facts(tmp_path / "set")
    assert len(found) == 30
    labels = [by_torchvision.classes[int(target)] for target in by_torchvision.targets]
    assert [label for _, label, split, _ in sorted(found) if split == "test"] == labels
    assert found == facts(tmp_path / "laid")
    assert sorted((tmp_path / "set").rglob("*")) == before


def test_bytes_are_those_that_torchvision_gives(tmp_path: Path) -> None:
    from io import BytesIO

    lay_out_fashion_mnist(tmp_path)
    first = open_source(NAME, tmp_path, "").items[0]
    file = BytesIO()
    datasets.FashionMNIST(tmp_path, train=False)[0][0].save(file, "PNG", compress_level=1)
    assert first.read() == file.getvalue()


def test_auto_asks_which_set_unless_a_folder_says_so(tmp_path: Path) -> None:
    lay_out_fashion_mnist(tmp_path / "one")
    assert (
        "torchvision.datasets.FashionMNIST" in open_source("auto", tmp_path / "one", "").description
    )
    (tmp_path / "one" / "FashionMNIST").rename(tmp_path / "one" / "files")
    with pytest.raises(DataError) as asked:
        open_source("auto", tmp_path / "one", "")
    assert "data.source: torchvision:KMNIST" in str(asked.value)
    (tmp_path / "one").rename(tmp_path / "fashion-mnist")
    assert len(facts(tmp_path / "fashion-mnist", "auto")) == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-5], "it is cut"),
        (lambda content: b"\0\0\x0d" + content[3:], "is no IDX file"),
        (lambda content: content[:6], "is no IDX file"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "it is cut"),
    ],
)
def test_damaged_files_say_so(tmp_path: Path, change: object, message: str) -> None:
    lay_out_fashion_mnist(tmp_path)
    for file in (tmp_path / "FashionMNIST" / "raw").glob("train-images*"):
        is_packed = file.suffix == ".gz"
        content = change(gzip.decompress(file.read_bytes()) if is_packed else file.read_bytes())
        file.write_bytes(gzip.compress(content) if is_packed else content)
    with pytest.raises(DataError, match=message):
        open_source(NAME, tmp_path, "")


def test_a_cut_gz_says_so(tmp_path: Path) -> None:
    lay_out_fashion_mnist(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    for file in raw.glob("*ubyte"):
        file.unlink()
    file = raw / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(DataError, match="cannot be read: cut"):
        open_source(NAME, tmp_path, "")
