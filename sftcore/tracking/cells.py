"""Cells of studies: one run for each content, however many studies and experiments use it."""

from typing import TYPE_CHECKING

from filelock import FileLock

from sftcore.foundations.repository import repository_root
from sftcore.foundations.tables import safe_cells
from sftcore.tracking.entries import Entry
from sftcore.tracking.layout import CELLS, Shown, runs_page
from sftcore.tracking.store import connect
from sftcore.tracking.writing import (
    Measurement,
    search_runs,
    tag_is,
    write_metrics,
    write_new,
    write_params,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

RUN_KEY_TAG = "sft.run_key"
LINES_TAG = "sft.cell_lines"
LINE_LENGTH = 16  # characters of a digest
_STUDY_TAG = "sft.study."
_GROWING = (LINES_TAG, _STUDY_TAG)
_ENDED = ("FINISHED", "FAILED")
_LOCK_TIMEOUT_S = 120.0


class Cells:
    """The experiment that holds the cells.

    Args:
        uri: of the store.
        experiment: its name.
        shown: what lists show of the task, if that is known.
    """

    def __init__(self, uri: str, experiment: str, shown: Shown | None) -> None:
        self._client, self._experiment_id = connect(experiment, uri, CELLS, shown)
        self._judged = ["judged/loss", *([f"judged/{shown.score}"] if shown else [])]
        # Two experiments that are run side by side have the same cells to tell.
        lock = repository_root() / ".sft" / "mlflow-cells.lock"
        self._lock = FileLock(lock, timeout=_LOCK_TIMEOUT_S)

    def put(self, entry: Entry) -> None:
        """Write a cell that is not there, complete one that was begun, and note the study.

        Args:
            entry: see :func:`sftcore.tracking.entries.cell_entry`.
        """
        with self._lock:
            found = self._find(entry)
            tags = {**entry["tags"], **self._membership(entry, found)}
            if found is None:
                run_id = self._client.create_run(
                    self._experiment_id, run_name=entry["name"], tags=tags
                ).info.run_id
                write_new(self._client, run_id, entry["params"], entry["metrics"])
            else:
                run_id = found.info.run_id
                had = found.data.tags
                for name, value in tags.items():
                    if had.get(name) != value and (name not in had or name.startswith(_GROWING)):
                        self._client.set_tag(run_id, name, value)
                if found.info.status in _ENDED:
                    return
                write_params(self._client, run_id, entry["params"])
                write_metrics(self._client, run_id, self._lacking(found, entry["metrics"]))
            self._client.set_terminated(run_id, entry["status"])

    def _find(self, entry: Entry) -> "Run | None":
        """The run of the same content: by its key, or as the line of a table of cells."""
        key = entry["tags"].get(RUN_KEY_TAG, "")
        for run in self._search(tag_is(RUN_KEY_TAG, key)) if key else []:
            return run
        like = f"tags.`{LINES_TAG}` LIKE '%{entry['line']}%'"
        for run in self._search(like) if entry["line"] else []:
            if not key or RUN_KEY_TAG not in run.data.tags:
                return run
        return None

    def _search(self, which: str) -> list["Run"]:
        return search_runs(self._client, self._experiment_id, which)

    def _membership(self, entry: Entry, found: "Run | None") -> dict[str, str]:
        """Tags that say which lines of which studies the run stands for."""
        had = found.data.tags if found is not None else {}
        added = {LINES_TAG: entry["line"]}
        if entry["study"]:
            added[_STUDY_TAG + entry["study"]] = entry["member"]
        return {name: _joined(had.get(name, ""), value) for name, value in added.items() if value}

    def _lacking(self, run: "Run", metrics: list[Measurement]) -> list[Measurement]:
        """Numbers of steps that a run which was left in the middle does not have."""
        steps = {
            name: {m.step for m in self._client.get_metric_history(run.info.run_id, name)}
            for name in run.data.metrics
        }
        return [metric for metric in metrics if metric[3] not in steps.get(metric[0], ())]

    def table(self, study: str) -> str:
        """The cells of a study as CSV: what each is there, its run, key, status and numbers.

        Args:
            study: its name in the tags.
        """
        import pandas as pd

        tag = _STUDY_TAG + study
        lines = [
            {
                "cell": run.data.tags[tag],
                "run_id": run.info.run_id,
                "key": run.data.tags.get(RUN_KEY_TAG, ""),
                "status": run.info.status,
                **{name: run.data.metrics.get(name) for name in self._judged},
            }
            for run in self._search(f"tags.`{tag}` IS NOT NULL")
        ]
        table = pd.DataFrame(lines, columns=lines[0].keys() if lines else ["cell"])
        return safe_cells(table.sort_values("cell", kind="stable")).to_csv(index=False)

    def page(self, study: str) -> str:
        """Address of the list of a study's cells within MLflow's pages."""
        return runs_page(self._experiment_id, search=f"tags.`{_STUDY_TAG}{study}` IS NOT NULL")


def _joined(known: str, added: str) -> str:
    """A list in one tag, to which something is added once."""
    items = [item for item in known.split(", ") if item]
    return ", ".join(items if added in items else [*items, added])
