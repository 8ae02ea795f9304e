"""What MLflow is told of a training and of a study, in a few numbers and in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.foundations.artifacts import sha256_json
from sftcore.settings.tree import Params, recipe_digest
from sftcore.tasks.contract import Task
from sftcore.tracking import LINE_LENGTH, commit_of_run, experiment_name, plain

_MOST_NAMES, _MOST_CHANGES = 20, 10
STUDY_LENGTH = 12  # characters of a digest that name a study in the tags of its cells
_NAMES = ("family", "setting")  # of a line of cells.csv; what else it holds is the cell's content
ANSWERS = (
    "stand_in",
    "worth",
    "overfitting",
    "helped",
    "advice",
    "more_data",
    "stable",
    "failures",
)


def recipe_key(params: Params, digest: str) -> str:
    """What a training has in common with the study of its recipe: that, the seed and the data.

    Args:
        params: the seed, and the sections model and train.
        digest: of the prepared data.
    """
    return sha256_json([recipe_digest(params), params.seed, digest])


def size_text(image_size: int, max_tokens: int) -> str:
    """How large examples are.

    Args:
        image_size: side of the pictures in pixels; 0 of texts.
        max_tokens: longest text in tokens; not looked at for pictures.
    """
    if image_size:
        return f"{image_size} × {image_size} pixels"
    return f"at most {max_tokens} tokens"


def training_text(
    backbone: str,
    names: Sequence[str],
    size: str,
    num_examples: Mapping[str, int],
    changes: Mapping[str, tuple[Any, Any]],
    task: type[Task],
) -> str:
    """What was trained on what.

    Args:
        backbone: its name.
        names: of the outputs.
        size: of the examples, see :func:`size_text`.
        num_examples: by split.
        changes: parameters that differ from the commit it began from, as (there, here).
        task: knows what examples and outputs are called.
    """
    outputs = task.outputs
    counts = ", ".join(f"{number} in {split}" for split, number in num_examples.items())
    shown_names = ", ".join(plain(name) for name in names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        shown_names += f" and {len(names) - _MOST_NAMES} more"
    what = f"{len(names)} {outputs} of {task.examples}" if names else task.examples
    lines = [f"{plain(backbone)}, fine-tuned on {what}, {size}{counts and ': '}{counts}."]
    if names:
        lines.append(f"{outputs.capitalize()}: {shown_names}.")
    if changes:
        shown = [
            f"{plain(name)} {plain(str(before))} → {plain(str(now))}"
            for name, (before, now) in list(changes.items())[:_MOST_CHANGES]
        ]
        if len(changes) > _MOST_CHANGES:
            shown.append(f"and {len(changes) - _MOST_CHANGES} more")
        lines.append("Changed since the commit it began from: " + "; ".join(shown) + ".")
    return "\n\n".join(lines)


def study_text(verdict: Mapping[str, Any]) -> str:
    """The study's answers, a line each.

    Args:
        verdict: content of the study's ``verdict.json``.
    """
    return "\n".join(f"- {plain(verdict[name])}" for name in ANSWERS if verdict.get(name))


def files_text(experiment: str | None = None, commit: str | None = None) -> str:
    """How the files of a run come back.

    Args:
        experiment: DVC's name; without one, that of the experiment that is being run.
        commit: of git; without one, that of the workspace.
    """
    name = experiment_name() if experiment is None else experiment
    known, is_dirty = commit_of_run() if commit is None else (commit, False)
    lines = ["Figures and tables: this run's artifacts. The model: `mlflow.pyfunc.load_model`."]
    if name:
        lines.append(f"As a whole, while DVC keeps the experiment: `dvc exp apply {name}`.")
    elif known and not is_dirty:
        lines.append(f"As a whole: `git checkout {known[:12]}`, then `dvc repro`.")
    elif known:
        lines.append(
            f"It was run on commit `{known[:12]}` with changes that were not committed: only "
            "what this page names is kept of them."
        )
    return "\n\n".join(lines)


def cell_lines(table: Path) -> list[str]:
    """Digests of the lines of a study's ``cells.csv``, in their order.

    A line stands for its cell where nothing else is known of it, in results that another machine
    has made: the same numbers under the same row and seed are the same cell.

    Args:
        table: the file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    cells = pd.read_csv(table, dtype=str, na_filter=False)
    kept = cells.drop(columns=[name for name in _NAMES if name in cells.columns])
    return [sha256_json(line)[:LINE_LENGTH] for line in kept.to_dict("records")]
