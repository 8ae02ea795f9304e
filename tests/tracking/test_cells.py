"""A cell's content is one run, however many studies, experiments and attempts tell of it."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sftcore.tracking import STUDIES, Run, open_run, replay_pending
from sftcore.tracking.cells import Cells

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def client(root: Path) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")


def runs(root: Path, name: str, which: str = "") -> list[Any]:
    experiment = client(root).get_experiment_by_name(name)
    return list(client(root).search_runs([experiment.experiment_id], which)) if experiment else []


def log(run: Run, number: int, study: str, member: str = "screen none", **changes: Any) -> None:
    content = {
        "study": study,
        "member": member,
        "line": f"line{number:02}",
        "params": {"n": number},
        "history": [(0, {"a": 1.0}), (1, {"a": 2.0})],
        "tags": {"sft.run_key": f"key{number}", "sft.row": "none"},
        "is_finished": True,
    }
    run.log_cell(f"cell {number}", **(content | changes))


def study(name: str, **options: Any) -> Any:
    return open_run(
        enabled=True, experiment="t", role=STUDIES, name=name, tags={}, key=("sft.run_key", name),
        **options,
    )  # fmt: skip


def test_studies_share_cells_and_find_their_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, numbers in (("one", range(3)), ("two", range(1, 5))):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        with study(name) as run:
            for number in numbers:
                log(run, number, name)
            run.list_cells(name)
    assert len(runs(root, "t-cells")) == 5
    assert {r.info.run_name for r in runs(root, "t-cells", "tags.`sft.study.one` IS NOT NULL")} == {
        "cell 0", "cell 1", "cell 2",
    }  # fmt: skip
    assert not runs(root, "t")
    (two,) = runs(root, "t-studies", "tags.`sft.run_key` = 'two'")
    assert "[4 cells](#/experiments/" in two.data.tags["mlflow.note.content"]
    text = mlflow.artifacts.load_text(f"{two.info.artifact_uri}/cells.csv")
    table = pd.read_csv(io.StringIO(text))
    assert set(table["key"]) == {"key1", "key2", "key3", "key4"}
    assert set(table["status"]) == {"FINISHED"}


def test_a_cell_that_is_two_lines_of_a_study_is_one_run_with_both_names(root: Path) -> None:
    for _ in range(2):
        with study("one") as run:
            log(run, 0, "one", "screen none")
            log(run, 0, "one", "stability none, mild", line="other")
    (cell,) = runs(root, "t-cells")
    assert cell.data.tags["sft.study.one"].split(", ")[:2] == ["screen none", "stability none"]
    assert cell.data.tags["sft.cell_lines"] == "line00, other"


def test_one_left_in_the_middle_is_completed_and_no_step_is_logged_twice(root: Path) -> None:
    with study("one") as run:
        log(run, 0, "one", history=[(0, {"a": 1.0})], params={})
    (half,) = runs(root, "t-cells")
    client(root).update_run(half.info.run_id, status="RUNNING")  # as a SIGKILL leaves it
    with study("one") as run:
        log(run, 0, "one")
    (cell,) = runs(root, "t-cells")
    assert cell.info.status == "FINISHED"
    assert cell.data.params == {"n": "0"}
    history = client(root).get_metric_history(cell.info.run_id, "a")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize("first", ["key", "line"])
def test_a_line_of_a_table_and_a_key_name_the_same_cell(root: Path, first: str) -> None:
    """Results from DVC's cache have lines and no keys; the study itself has both."""
    for known in ("key", "line") if first == "key" else ("line", "key"):
        with study("one") as run:
            log(run, 0, "one", **({} if known == "key" else {"tags": {"sft.row": "none"}}))
    (cell,) = runs(root, "t-cells")
    assert cell.data.tags["sft.run_key"] == "key0"
    with study("one") as run:  # other content that happens to read the same
        log(run, 0, "one", tags={"sft.run_key": "another"})
    assert len(runs(root, "t-cells")) == 2


def test_children_that_waited_since_an_older_version_become_cells(root: Path) -> None:
    opening = {
        "uri": f"sqlite:///{root}/mlflow.db", "experiment": "t", "name": "ablation", "tags": {},
        "key": ["sft.run_key", "old"], "any_experiment": False,
    }  # fmt: skip
    child = {
        "kind": "child", "name": "screen none", "params": {"seed": "1"}, "status": "FINISHED",
        "metrics": [["a", 1.0, 5, 0]], "tags": {"sft.row": "none"},
    }  # fmt: skip
    folder = root / ".sft" / "mlflow_pending"
    folder.mkdir(parents=True)
    for number in range(2):  # the second time it is there already
        end = {"kind": "status", "status": "FINISHED"}
        lines = [json.dumps(line) for line in (opening, child, end)]
        (folder / f"99999999{number}-x.jsonl").write_text("\n".join(lines))
        assert len([*replay_pending()]) == 1
    (cell,) = runs(root, "t-cells")
    assert (cell.info.status, cell.data.metrics) == ("FINISHED", {"a": 1.0})


def test_names_of_rows_cannot_be_formulas_of_a_spreadsheet(root: Path) -> None:
    with study("one") as run:
        log(run, 0, "one", "=cmd|x")
        log(run, 1, "one", 'a "row", of <b>')
    cells = Cells(f"sqlite:///{root}/mlflow.db", "t-cells", None)
    table = pd.read_csv(io.StringIO(cells.table("one")))
    assert sorted(table["cell"]) == ["'=cmd|x", 'a "row", of <b>']
