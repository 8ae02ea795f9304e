"""The labels stage: planted labels are named, nothing of the test split has a say."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.store import SAMPLES_FILE, write_manifest
from sftcore.data.texts.kind import TextKind
from sftcore.foundations.artifacts import read_json, sha256_file
from sftcore.inspection.examples.texts import MOST_CHARACTERS
from sftcore.models.settings import ModelSettings
from sftcore.models.text.settings import TextOptions
from sftcore.pipeline.labels import LabelsParams, audit_labels
from sftcore.pipeline.prepare import prepare_and_show
from sftcore.reporting.parts import read_parts
from sftcore.settings.tree import Params, load_params
from tests.conftest import PREPARE
from tests.import_closure import ROOT
from tests.models.text.tiny import write_encoder
from tests.pictures import CLASSES, draw, encode
from tests.pipeline.kinds import params_of, task_of, write_kind
from tests.pipeline.project import SMALL, call_stage, make_project, run_stage, set_params

REPORT = Path("reports/labels")
PLANTED = ("circle/q00.png", "square/q01.png")  # both are stripes


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    folder = tmp_path_factory.mktemp("params")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    shutil.copytree(ROOT / "studies", folder / "studies")
    set_params(folder, SMALL)
    return load_params(folder / "params.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with prepared pictures of which two carry a wrong label."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for kind in CLASSES:
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for seed in range(24):
            name = f"{kind}/{seed:03d}.png"
            (tmp_path / "pictures" / name).write_bytes(encode(draw(kind, seed)))
            split = "test" if seed < 5 else "val" if seed < 10 else "train"
            rows.append({"path": name, "label": kind, "split": split})
    for number, name in enumerate(PLANTED):
        (tmp_path / "pictures" / name).write_bytes(encode(draw("stripes", 100 + number)))
        rows.append({"path": name, "label": name.split("/")[0], "split": ("train", "val")[number]})
    pd.DataFrame(rows).to_csv("pictures/labels.csv", index=False)
    prepare(**PREPARE | {"source": "table", "near_duplicate_distance": -1},
            path=tmp_path / "pictures", output=Path("data/prepared"))  # fmt: skip
    return tmp_path


def rewrite_test_rows() -> None:
    """Give every test picture another label and other pixels."""
    samples = pd.read_csv(f"data/prepared/{SAMPLES_FILE}")
    is_test = samples["split"] == "test"
    samples.loc[is_test, "label_index"] = (samples.loc[is_test, "label_index"] + 1) % 3
    samples.loc[is_test, "label"] = "other"
    samples.to_csv(f"data/prepared/{SAMPLES_FILE}", index=False, lineterminator="\n")
    images = np.load("data/prepared/images.npy")
    images[is_test] = 7
    np.save("data/prepared/images.npy", images)
    manifest = read_json(Path("data/prepared/manifest.json"))
    Path("data/prepared/manifest.json").unlink()
    facts: dict[str, Any] = {k: v for k, v in manifest.items() if k != "files"}
    write_manifest(Path("data/prepared"), facts)


def digests() -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(REPORT.iterdir())}


def test_planted_labels_are_named_with_the_right_class(folder: Path, params: Params) -> None:
    sentences = audit_labels(params)
    table = pd.read_csv(REPORT / "suspects.csv").set_index("id")
    summary = json.loads((REPORT / "summary.json").read_text())
    assert set(PLANTED) <= set(table.index)
    assert (table.loc[list(PLANTED), "suggested"] == "stripes").all()
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["self_confidence"].is_monotonic_increasing
    assert not {f"{kind}/{seed:03d}.png" for kind in CLASSES for seed in range(5)} & set(
        table.index
    )
    assert (summary["num_pictures"], summary["num_judged"]) == (59, 59)
    assert summary["num_suspects"] == len(table) <= summary["num_disagreeing"]
    assert sentences[0].startswith(f"{len(table)} of 59 labels of train and validation may be")
    assert "not known" in sentences[1]
    (part,) = read_parts(REPORT)
    assert (part.text, part.figures[0].file) == (tuple(sentences), "suspects.png")


WORDS_OF = {"=animal": "a cat dog", "thing": "red house tree", "日本": "sleeps runs never always"}


def test_planted_labels_of_texts_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = write_encoder(tmp_path / "encoder")
    stream = np.random.default_rng(0)
    rows = [(" ".join(stream.choice(WORDS_OF[kind].split(), 9)), kind)
            for kind in WORDS_OF for _ in range(30)]  # fmt: skip
    planted = [(f"never {'always sleeps ' * 200}", "=animal"), ("always runs never " * 3, "thing"),
               ("red house tree " * 3, "日本"), ("dog cat a " * 3, "thing")]  # fmt: skip
    table = pd.DataFrame([*rows, *planted], columns=["text", "label"]).assign(split="train")
    table.loc[[place for place in range(90) if place % 30 < 4], "split"] = "test"
    (tmp_path / "set").mkdir()
    table.to_csv("set/t.csv", index=False)
    prepare(**PREPARE | {"source": "table", "table": "t.csv", "near_duplicate_distance": -1,
                         "kind": TextKind(10_000)},
            path=tmp_path / "set", output=Path("data/prepared"))  # fmt: skip
    settings = {"backbone": f"transformers/{encoder}", "weights": "pretrained",
                "text": TextOptions(max_tokens=11)}  # fmt: skip
    read = LabelsParams(seed=params.seed, model=ModelSettings(**settings), runtime=params.runtime)
    sentences = audit_labels(read)
    found = pd.read_csv(REPORT / "suspects.csv").set_index("id")
    assert set(found.index) <= {f"t.csv/{row:06d}" for row in range(90, 94)}
    assert len(found) >= 3
    assert found.loc["t.csv/000090", ["label", "suggested"]].tolist() == ["'=animal", "日本"]
    assert found.loc["t.csv/000090", "text"].startswith("never always sleeps")
    assert found["text"].str.len().max() == MOST_CHARACTERS + 1
    assert sentences[0].startswith(f"{len(found)} of 82 labels of train and validation may be")
    assert json.loads((REPORT / "summary.json").read_text())["num_texts"] == 82
    (part,) = read_parts(REPORT)
    assert (part.figures, part.tables[0].columns["text"]) == ((), "text")
    assert "picture" not in (REPORT / "parts.json").read_text()
    assert sorted(p.name for p in REPORT.iterdir()) == [
        "parts.json",
        "summary.json",
        "suspects.csv",
    ]


def test_the_test_split_has_no_say(folder: Path, params: Params) -> None:
    audit_labels(params)
    before = digests()
    rewrite_test_rows()
    audit_labels(params)
    assert digests() == before


def test_names_that_nobody_would_choose(tmp_path: Path) -> None:
    project = make_project(tmp_path, **{"data__max_refused_fraction": 0.3})
    names = ("=cmd|x", "日本語", "<b>$x$")
    for kind, name in zip(CLASSES, names, strict=True):
        (project / "data" / "mine" / kind).rename(project / "data" / "mine" / name)
    # Stripes under the name of circles, in a file whose name steers terminals and tables.
    for number in range(3):
        odd = project / "data" / "mine" / "=cmd|x" / f"@\u202e{number},\u007f.png"
        odd.write_bytes(encode(draw("stripes", 200 + number)))
    for stage in ("check", "prepare", "labels"):
        done = call_stage(project, stage)
        assert done.returncode == 0, done.stderr
    assert "may be wrong: reports/labels/suspects.csv" in done.stdout
    before = sha256_file(project / REPORT / "suspects.png")
    table = pd.read_csv(project / REPORT / "suspects.csv", dtype=str, na_filter=False)
    assert len(table)
    for value in table.to_numpy().ravel():
        assert not value.startswith(("=", "@", "+", "-"))
    shutil.rmtree(project / REPORT)
    assert run_stage(project, "labels", env={"PYTHONHASHSEED": "5"}).returncode == 0
    assert sha256_file(project / REPORT / "suspects.png") == before


def test_without_prepared_data_it_says_what_to_do(tmp_path: Path) -> None:
    done = call_stage(make_project(tmp_path), "labels")
    assert done.returncode == 2
    assert "run `dvc repro prepare`" in done.stderr


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("pictures", "labels", "any number of labels"),
        ("pictures", "numbers", "not right or wrong but more or less far off"),
        ("texts", "labels", "any number of labels"),
    ],
)
def test_what_is_not_looked_through_says_why(
    kind: str, target: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    params: Params,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_kind(tmp_path / "set", kind)
    prepare_and_show(params_of(task_of(kind, target, monkeypatch), "set"))
    (sentence,) = audit_labels(params)
    assert sentence.startswith("Labels that may be wrong: not looked for")
    assert reason in sentence
    assert [path.name for path in REPORT.iterdir()] == ["parts.json"]
    (part,) = read_parts(REPORT)
    assert part.text == (sentence,)
