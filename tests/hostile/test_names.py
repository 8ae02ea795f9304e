"""Names that are HTML, formulas, YAML, Markdown or no text, from the folder to the reports."""

import csv
import json
import os
import shutil
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sftcore.data.prepare import prepare
from sftcore.data.sources import read_source
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.import_closure import ROOT
from tests.pictures import CLASSES, draw, encode
from tests.pipeline.project import call_stage, make_project, set_params
from tests.shared import made_once

CLASS_NAMES = (
    "<script>alert(1)<%2fscript>",
    "\"><img src=x onerror=alert(1)>",
    "=cmd|' %2fC calc'!A0",
)  # fmt: skip
FILE_NAMES = (
    "+1+cmd.png", "@SUM(A1).png", "-2.png", "$\\frac{.png", "a|b|c.png", "**bold** [x](y).png",
    "{{ 7*7 }}.png", "- yaml: [.png", "\u202egnp.exe.png", "' or 1=1 --.png", "a,b;c.png", "#.png",
)  # fmt: skip
ROW_NAMES = ("<b onmouseover=alert(1)>x</b>", "=1+1", "a|b `c` $\\frac{1")


def run_with_hostile_names(folder: Path) -> None:
    """All stages, run on pictures and rows with hostile names."""
    make_project(folder)
    shutil.rmtree(folder / "data" / "mine")
    for kind, class_name in zip(CLASSES, CLASS_NAMES, strict=True):
        place = folder / "data" / "mine" / class_name
        place.mkdir(parents=True)
        for seed, name in enumerate(FILE_NAMES):
            (place / name).write_bytes(encode(draw(kind, seed)))
    (folder / "data" / "mine" / CLASS_NAMES[0] / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"x")
    rows = {name: {"train.penalties.l1": 0.001 * (1 + n)} for n, name in enumerate(ROW_NAMES)}
    set_params(folder, {"study.screen.rows": {"none": {}} | rows,
                        "data.max_refused_fraction": 0.2})  # fmt: skip
    for stage in ("check", "prepare", "labels", "finetune", "evaluate", "ablate", "report"):
        done = call_stage(folder, stage)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "hostile_names", run_with_hostile_names)


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"{tag}@{name}" for name, _ in attrs)}


def test_no_name_becomes_an_element_of_the_page(project: Path) -> None:
    page = Elements()
    text = (project / "reports/report.html").read_text()
    page.feed(text)
    assert "alert(1)" in text, "the names are shown"
    assert not {item for item in page.found if "@on" in item or item in ("script", "b")}
    assert {item for item in page.found if item.endswith("@src")} == {"img@src"}
    assert text.count("<img") == len(list((project / "reports").rglob("*.png")))


def test_no_cell_is_a_formula_and_every_json_is_json(project: Path) -> None:
    tables = list((project / "reports").rglob("*.csv"))
    assert len(tables) > 5
    for path in tables:
        with path.open(newline="") as file:
            for row in csv.reader(file):
                texts = [cell for cell in row if not is_number(cell)]
                assert not [c for c in texts if c.startswith(("=", "+", "-", "@"))], path
    for path in (project / "reports").rglob("*.json"):
        json.loads(path.read_text())
    assert len(list((project / "reports").rglob("*.png"))) >= 8


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_a_name_that_is_no_text_is_refused_by_name(project: Path) -> None:
    audit = (project / "data/prepared/audit.csv").read_text()
    assert "unreadable name" in audit
    assert "\\xff\\xfe" in audit.replace("\\udcff\\udcfe", "\\xff\\xfe")


def test_special_files_do_not_block(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(encode(draw("circle", 1)))
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path / "a")  # an address must be short
        listener.bind("socket.png")
        os.chdir(here)
        items = {item.id: item for item in read_source("folder", tmp_path, "")}
        for name in ("a/pipe.png", "a/socket.png"):
            with pytest.raises(Exception, match="not a file"):
                items[name].read()


@pytest.mark.timeout(60)
def test_forty_thousand_empty_files_are_refused_shortly(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for index in range(20_000):
            os.close(os.open(folder / f"{index}.png", os.O_CREAT))
    with pytest.raises(DataError) as refused:
        prepare(**PREPARE, path=tmp_path / "data", output=tmp_path / "prepared")
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("path", ["data; touch executed", "$(touch executed)", "../../etc", "/etc"])
def test_a_path_never_reaches_a_shell(path: str, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    set_params(folder, {"data.path": path})
    done = call_stage(folder, "check")
    assert done.returncode == 2
    assert not list(tmp_path.rglob("executed"))
    assert "shell=True" not in "".join(p.read_text() for p in (ROOT / "sftcore").rglob("*.py"))
    assert "${" not in "".join(
        line for line in (ROOT / "dvc.yaml").read_text().splitlines() if "cmd:" in line
    )


def test_servers_bind_to_this_machine_alone() -> None:
    files = [ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    files += (ROOT / "sftcore").rglob("*.py")
    starting = [path for path in files if '"mlflow", "ui"' in path.read_text()]
    assert starting == [ROOT / "sftcore/pipeline/ui.py"]
    assert '_HOST = "127.0.0.1"' in starting[0].read_text()
    assert not [path for path in files if "0.0.0.0" in path.read_text()]
