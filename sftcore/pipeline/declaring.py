"""Examples of further tasks: folders with a pipeline of their own, declared like that at the top.

Each is a DVC repository, so that its outputs, metrics and experiments are its own. The code is that
of the top, which links name under the same paths.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sftcore.foundations.artifacts import write_text
from sftcore.foundations.repository import EXAMPLES
from sftcore.settings.tree import load_params
from sftcore.settings.writing import rewrite_params
from sftcore.tasks.registry import TASKS
from sftcore.tasks.reports import REPORTS

_LINKED = ("sftcore", "stages", "requirements.lock")
_COPIED = (".dvcignore", ".dvc/config", ".dvc/.gitignore")
_PIPELINE, _PARAMS = "dvc.yaml", "params.yaml"
_TRAINING = ("history", "updates", "range_test")  # figures of every training
_STUDY = ("worth", "screen", "overfitting", "curves", "calibration", "stability")  # of every study


def plots_of(task: str) -> list[Any]:
    """What DVC compares between experiments of a task, as dvc.yaml has it.

    Args:
        task: its name.
    """
    kind, report = TASKS[task], REPORTS[task]
    score = kind.scores[0]
    has_temperature = "temperature" in kind.outcomes
    study = [name for name in _STUDY if name != "calibration" or has_temperature]
    figures = {"evaluate": report.figures, "finetune": _TRAINING, "ablation": study}
    return [
        _curve("loss", "Loss"),
        _curve(score, kind.words[score][:1].upper() + kind.words[score][1:]),
        *({name: _plain(chart)} for name, chart in report.charts.items()),
        *(f"reports/{stage}/{name}.png" for stage, names in figures.items() for name in names),
    ]


def pipeline_text(task: str, top: str) -> str:
    """The dvc.yaml of an example.

    Args:
        task: that is learnt in it.
        top: the dvc.yaml at the top.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq

    yaml, file = YAML(), io.StringIO()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 10_000
    tree = yaml.load(top)
    tree["plots"] = plots_of(task)
    for plot in tree["plots"]:
        for chart in plot.values() if isinstance(plot, dict) else ():
            for table, columns in chart["y"].items():
                if isinstance(columns, list):
                    chart["y"][table] = CommentedSeq(columns)
                    chart["y"][table].fa.set_flow_style()
    yaml.dump(tree, file)
    return file.getvalue()


def write_examples(top: Path) -> Iterator[str]:
    """Complete every folder of ``examples/`` that holds a params.yaml; a line for each.

    Args:
        top: the folder around ``examples/``.

    Raises:
        ParamsError: a params.yaml has faults.
    """
    for params in sorted((top / EXAMPLES).glob(f"*/{_PARAMS}")):
        folder = params.parent
        rewrite_params(params)
        for name in _LINKED:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..", "..", name))
        for name in _COPIED:
            write_text(folder / name, (top / name).read_text(encoding="utf-8"))
        text = (top / _PIPELINE).read_text(encoding="utf-8")
        write_text(folder / _PIPELINE, pipeline_text(load_params(params).task, text))
        yield f"{folder.relative_to(top)}: as the top has it"


def _curve(name: str, title: str) -> dict[str, Any]:
    """A number of the history on train and val, by epoch."""
    columns = [f"train_{name}", f"val_{name}"]
    y = {"reports/finetune/history.csv": columns}
    return {name: {"title": f"{title} by epoch", "x": "epoch", "y": y}}


def _plain(chart: Any) -> dict[str, Any]:
    """A copy that may be changed."""
    return {name: dict(of) if isinstance(of, dict) else of for name, of in chart.items()}
