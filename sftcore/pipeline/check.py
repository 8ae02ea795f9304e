"""The check stage: find what would fail later before any earlier output is touched."""

from pathlib import Path, PurePosixPath

import torch

from sftcore.data.kinds import Names
from sftcore.data.opening import open_examples
from sftcore.data.settings import DataSettings
from sftcore.data.sources import KIND_NAMES, Contents, Sought, check_fit
from sftcore.data.targets.target import Target
from sftcore.foundations.artifacts import write_json
from sftcore.foundations.errors import DataError
from sftcore.models.settings import ModelSettings
from sftcore.models.start import build_start
from sftcore.models.text.check import check_model
from sftcore.models.text.files import is_text
from sftcore.pipeline.examples import examples_of
from sftcore.pipeline.paths import CHECK_REPORT
from sftcore.settings.studies import studied
from sftcore.settings.tree import Params
from sftcore.tasks.names import LEARNT
from sftcore.tasks.registry import TASKS


def check(params: Params) -> None:
    """Say what the data's layout is; the parameters were checked when they were read.

    DVC removes a stage's outputs before it runs the stage. This stage comes first and its output
    never changes, so a fault found here leaves every other output where it is.

    Raises:
        DataError: nothing is there, or the layout cannot be read, or in several ways, or it cannot
            hold what the task learns from.
        WeightsError: an encoder or a decoder that lies here, of the recipe or of what stands in for
            it in the study, cannot be used as it is asked for.
    """
    data = params.data
    sought = examples_of(params.task, data).sought
    if data.source.startswith("torchvision:"):  # its files may yet have to be downloaded
        check_fit("torchvision", sought)
    else:
        print("\n".join(_contents(params.task, data, sought).lines()))
    of_study = [] if params.ablation.grid is None else [studied(params).model]
    for model in dict.fromkeys([params.model, *of_study]):
        if is_text(model.backbone):
            goes_on = not TASKS[params.task].has_new_head
            check_model(model.backbone, model.weights, model.text, goes_on=goes_on)
        _check_maps(params, model)
    write_json(CHECK_REPORT, {"parameters": "valid", "data": "found"})


def _check_maps(params: Params, model: ModelSettings) -> None:
    """Refuse a backbone without the maps that a head of masks or boxes needs.

    Raises:
        WeightsError: it has none, or is not known.
    """
    dense = model.dense_head(LEARNT[params.task].target)
    if dense is not None:
        build_start(
            backbone=model.backbone, weights="none", num_classes=1, dropout=0.0, seed=0,
            image_size=params.data.pictures.image_size, device=torch.device("cpu"), dense=dense,
        )  # fmt: skip


def _contents(task: str, data: DataSettings, sought: Sought) -> Contents:
    """The data's layout.

    Raises:
        DataError: it cannot be read; says so where it holds another kind of examples.
    """
    try:
        contents = open_examples(data.source, Path(data.path), data.table, sought)
    except DataError as error:
        if found := _as_another_kind(data, sought):
            names, seen = found
            raise DataError(
                f"{error}\nAs {names.plural} they can be read: {seen}. {_advice(task, names)}"
            ) from error
        raise
    if other := _named_otherwise(contents, sought.names):
        raise DataError(
            f"{contents.description}: by their names all files are {other.plural}. "
            f"{_advice(task, other)}"
        )
    return contents


def _as_another_kind(data: DataSettings, sought: Sought) -> tuple[Names, str] | None:
    """The kind of examples that the data do hold, and what they look like."""
    for names in KIND_NAMES.values():
        if names != sought.names:
            other = Sought(names, _target_of(names, sought.target))
            try:
                seen = open_examples(data.source, Path(data.path), data.table, other)
            except DataError:
                continue
            if not _named_otherwise(seen, names):
                return names, seen.description
    return None


def _target_of(names: Names, target: Target) -> Target:
    """What may be learnt of another kind of examples: dialogues hold their answers, no others do.

    Args:
        names: of that kind.
        target: of the task.
    """
    is_dialogue = (names.plural, "answers") in {(of.kind, of.target) for of in LEARNT.values()}
    if is_dialogue:
        return Target("answers")
    return Target() if target.kind == "answers" or target.is_annotated else target


def _named_otherwise(contents: Contents, names: Names) -> Names | None:
    """The kind that all files are of by their names, where it is another one."""
    if not contents.ids_are_files:
        return None
    suffixes = {PurePosixPath(item.id).suffix.lower() for item in contents.items}
    others = (other for other in KIND_NAMES.values() if other != names)
    return next((other for other in others if suffixes <= other.suffixes), None)


def _advice(task: str, names: Names) -> str:
    """What to set where the data hold another kind of examples than the task."""
    target = _target_of(names, Target(LEARNT[task].target)).kind
    fitting = [
        name for name in TASKS
        if (LEARNT[name].kind, LEARNT[name].target) == (names.plural, target)
    ]  # fmt: skip
    text = f"task {task} learns from {LEARNT[task].kind}: set data.path to where these are"
    return f"{text}, or task to {' or '.join(fitting)}" if fitting else text
