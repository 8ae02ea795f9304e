import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.store import open_store
from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import DataError, OutputError
from tests.conftest import PREPARE
from tests.data.test_sources import lay_out_fashion_mnist
from tests.pictures import draw, encode, write_folders


def digest(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


def test_output_is_complete_and_names_its_hashes(prepared: Path) -> None:
    files = {
        "audit.csv",
        "classes.json",
        "images.npy",
        "manifest.json",
        "samples.csv",
        "summary.json",
    }
    assert {path.name for path in prepared.iterdir()} == files
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["files"] == {k: v for k, v in digest(prepared).items() if k != "manifest.json"}
    samples = pd.read_csv(prepared / "samples.csv")
    assert samples["id"].is_monotonic_increasing
    assert set(samples["split"]) == {"train", "val", "test"}
    assert samples.groupby("group")["split"].nunique().max() == 1


def test_pictures_stand_in_the_order_of_the_samples(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set")
    (source / "circle" / "000.png").write_bytes(b"")  # refused: later rows move up
    prepare(**PREPARE | {"near_duplicate_distance": -1}, path=source, output=tmp_path / "out")
    store = open_store(tmp_path / "out", ("train", "val", "test"))
    for row in (0, 20, len(store.samples) - 1):
        kind, _, name = store.samples["id"][row].partition("/")
        wanted = np.asarray(draw(kind, int(name[:3])).resize((32, 32), 3))
        np.testing.assert_array_equal(store.images[row], wanted)
        assert store.classes[store.labels[row]] == kind


def test_the_summary_says_what_keeps_pictures_together(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set")
    files = sorted(file.relative_to(source).as_posix() for file in source.rglob("*.png"))
    lines = [f"{name},{name.partition('/')[0]},{'twins' * (n < 2)}" for n, name in enumerate(files)]
    (source / "labels.csv").write_text("\n".join(["path,label,group", *lines]) + "\n")

    def together(**changes: object) -> dict[str, object]:
        return dict(
            prepare(**PREPARE | changes, path=source, output=tmp_path / "out")["near_duplicates"]
        )  # type: ignore[arg-type]

    assert not {"are_not_sought", "hold_given_groups"} & together().keys()
    off = together(source="table", near_duplicate_distance=-1)
    assert (off["are_not_sought"], off["hold_given_groups"], off["num_groups"]) == (True, True, 1)


def test_twice_the_same_bytes_also_when_files_were_made_in_another_order(tmp_path: Path) -> None:
    first = write_folders(tmp_path / "a")
    second = tmp_path / "b"
    for file in sorted(first.rglob("*.png"), reverse=True):
        target = second / file.relative_to(first)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for name, source in (("1", first), ("2", second)):
        prepare(**PREPARE, path=source, output=tmp_path / name)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_every_refusal_is_a_row_with_its_reason(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set", per_class=15)
    whole = encode(draw("circle", 50))
    (source / "circle" / "empty.png").write_bytes(b"")
    (source / "circle" / "text.png").write_text("not a picture")
    (source / "circle" / "half.png").write_bytes(whole[: len(whole) // 2])
    (source / "circle" / "huge.png").write_bytes(encode(draw("circle", 51, 200)))
    (source / "circle" / "copy.png").write_bytes((source / "circle" / "001.png").read_bytes())
    (source / "square" / "wrong.png").write_bytes((source / "stripes" / "002.png").read_bytes())
    (source / "square" / "out.png").symlink_to(tmp_path / "elsewhere")
    summary = prepare(**PREPARE, path=source, output=tmp_path / "out")
    audit = pd.read_csv(tmp_path / "out" / "audit.csv").set_index("id")["reason"].to_dict()
    assert audit == {
        "circle/copy.png": "same bytes as another picture",
        "circle/empty.png": "empty file",
        "circle/half.png": "truncated",
        "circle/huge.png": "over the pixel limit",
        "circle/text.png": "not a picture",
        "square/out.png": "outside the data folder",
        "square/wrong.png": "same bytes under two labels",
        "stripes/002.png": "same bytes under two labels",
    }
    assert summary["num_refused"] == 8
    assert sum(summary["refused"].values()) == 8
    assert summary["num_pictures"] == 44


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set", per_class=20)
    for seed in range(10):
        twin = draw("circle", seed).convert("L").convert("RGB")
        (source / "circle" / f"twin{seed:03d}.png").write_bytes(encode(twin))
    prepare(**PREPARE, path=source, output=tmp_path / "out")
    samples = pd.read_csv(tmp_path / "out" / "samples.csv").set_index("id")
    for seed in range(10):
        pair = samples.loc[[f"circle/{seed:03d}.png", f"circle/twin{seed:03d}.png"]]
        assert pair["group"].nunique() == pair["split"].nunique() == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["near_duplicates"]["num_groups"] >= 10


def test_given_splits_that_let_twins_cross_lose_the_training_side(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set", per_class=12)
    twin = draw("circle", 0).convert("L").convert("RGB")
    (source / "circle" / "twin.png").write_bytes(encode(twin))
    rows = [
        (f.relative_to(source).as_posix(), f.parent.name) for f in sorted(source.rglob("*.png"))
    ]
    table = pd.DataFrame(rows, columns=["path", "label"])
    table["split"] = ["test" if i % 3 == 0 else "train" for i in range(len(table))]
    table.loc[table["path"] == "circle/000.png", "split"] = "test"
    table.loc[table["path"] == "circle/twin.png", "split"] = "train"
    table.to_csv(source / "labels.csv", index=False)
    prepare(**PREPARE | {"source": "table"}, path=source, output=tmp_path / "out")
    audit = pd.read_csv(tmp_path / "out" / "audit.csv").set_index("id")
    assert audit.loc["circle/twin.png", "reason"] == "near-duplicate across splits"
    words = "taken out of train: the source has its near-duplicate circle/000.png in test"
    assert words in audit.loc["circle/twin.png", "detail"]
    samples = pd.read_csv(tmp_path / "out" / "samples.csv").set_index("id")
    assert samples.loc["circle/000.png", "split"] == "test"


def test_a_given_test_split_keeps_its_copies(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set", per_class=12)
    for name in ("a_train", "z_test"):
        shutil.copyfile(source / "circle" / "003.png", source / "circle" / f"{name}.png")
    names = [f.relative_to(source).as_posix() for f in sorted(source.rglob("*.png"))]
    is_test = [name.endswith(("3.png", "7.png", "z_test.png")) for name in names]
    table = pd.DataFrame(
        {
            "path": names,
            "label": [name.partition("/")[0] for name in names],
            "split": np.where(is_test, "test", "train"),
        }
    )
    table.to_csv(source / "labels.csv", index=False)
    settings = PREPARE | {"source": "table", "near_duplicate_distance": -1}
    summary = prepare(**settings, path=source, output=tmp_path / "out")
    assert summary["refused"] == {"same bytes as another picture": 1}
    assert summary["splits"]["test"] == sum(is_test) == 7
    audit = pd.read_csv(tmp_path / "out" / "audit.csv").set_index("id")
    assert audit.loc["circle/a_train.png", "detail"] == "circle/003.png"


def test_limits_stop_the_run_and_keep_the_earlier_output(tmp_path: Path, prepared: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    before = digest(output)
    source = write_folders(tmp_path / "set", per_class=6)
    for seed in range(4):
        (source / "circle" / f"{seed:03d}.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"4 of 18 pictures \(22%\) were refused"):
        prepare(**PREPARE, path=source, output=output)
    limits = {"max_refused_fraction": 0.5, "min_per_class": 4}
    with pytest.raises(DataError, match=r"circle \(2\)"):
        prepare(**PREPARE | limits, path=source, output=output)
    assert digest(output) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "set"]


def test_no_space_is_told_before_the_pictures_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_folders(tmp_path / "set")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match=r"the disk has 0\.0 MB left"):
        prepare(**PREPARE, path=source, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_torchvision_data_set_goes_the_same_way(tmp_path: Path) -> None:
    lay_out_fashion_mnist(tmp_path / "set", num_train=80, num_test=30)
    settings = {"source": "torchvision:FashionMNIST", "near_duplicate_distance": -1}
    summary = prepare(**PREPARE | settings, path=tmp_path / "set", output=tmp_path / "out")
    assert summary["splits"]["test"] == 30
    assert summary["num_classes"] == 10


def test_a_store_shows_only_the_splits_it_was_opened_for(prepared: Path) -> None:
    store = open_store(prepared, ("train", "val"))
    everything = open_store(prepared, ("train", "val", "test"))
    test = everything.split("test")
    assert len(test) > 0
    assert (store.labels[test] == -1).all()
    assert set(store.samples["split"]) == {"train", "val"}
    with pytest.raises(ValueError, match="not for 'test'"):
        store.split("test")
    rows = np.concatenate([everything.split(name) for name in ("train", "val", "test")])
    assert sorted(rows.tolist()) == list(range(len(everything.images)))


def test_an_incomplete_store_says_how_to_make_one(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(DataError, match="dvc repro prepare"):
        open_store(tmp_path, ("train",))
    shutil.copytree(prepared, tmp_path / "cut")
    content = (tmp_path / "cut" / "images.npy").read_bytes()
    (tmp_path / "cut" / "images.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="dvc repro prepare"):
        open_store(tmp_path / "cut", ("train",))
