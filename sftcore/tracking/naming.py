"""What a training is called: the DVC experiment, and what differs from the commit it began from."""

from collections.abc import Mapping
from typing import Any

from sftcore.foundations.yaml_files import PARAMS_FILE, flatten
from sftcore.tracking.context import baseline_revision, experiment_name, file_at

_SECTIONS = ("seed", "data", "model", "train")  # that make a training
_MOST_CHANGES, _MOST_CHARACTERS = 3, 24  # of a name


def changes_since(tree: Mapping[str, Any], revision: str = "") -> dict[str, tuple[Any, Any]]:
    """Parameters of the training that differ from a commit's, as (value there, value here).

    Args:
        tree: content of params.yaml.
        revision: of git; without one, what the DVC experiment or the workspace began from.

    Returns:
        Values by dotted name; empty where git does not know the file.
    """
    from ruamel.yaml import YAML, YAMLError

    text = file_at(revision or baseline_revision(), PARAMS_FILE.as_posix())
    try:
        there = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return {}
    if not isinstance(there, Mapping):
        return {}
    before, now = (flatten({name: of.get(name) for name in _SECTIONS}) for of in (there, tree))
    return {
        name: (before.get(name), now.get(name))
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    }


def training_name(
    backbone: str, changes: Mapping[str, tuple[Any, Any]], experiment: str | None = None
) -> str:
    """A run's name in the list, ``weight_decay=0.001 (puffy-name)``: what tells most stands first.

    Args:
        backbone: names a training of the workspace.
        changes: see :func:`changes_since`.
        experiment: DVC's name; without one, that of the experiment that is being run.
    """
    name = (experiment_name() if experiment is None else experiment) or backbone.split("/")[-1]
    shown = [
        f"{dotted.split('.')[-1]}={str(value)[:_MOST_CHARACTERS]}"
        for dotted, (_, value) in list(changes.items())[:_MOST_CHANGES]
    ]
    if len(changes) > len(shown):
        shown.append(f"{len(changes) - len(shown)} more")
    return f"{', '.join(shown)} ({name})" if shown else name
