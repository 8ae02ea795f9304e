"""The whole of params.yaml as a typed tree, made of the settings that each room defines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import model_validator

from sftcore.data.settings import DataSettings
from sftcore.evaluation.settings import EvaluateSettings
from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.foundations.settings import Scalar, Seed, Settings, one_of, setting
from sftcore.foundations.yaml_files import PARAMS_FILE, flatten
from sftcore.models.settings import ModelSettings
from sftcore.models.text.files import is_text
from sftcore.settings.grids import AblationSettings
from sftcore.settings.moved import MOVED
from sftcore.settings.reading import build_tree, load_sections, near_names
from sftcore.settings.tracking import TrackingSettings
from sftcore.tasks.contract import Task
from sftcore.tasks.registry import TASKS
from sftcore.training.settings import TrainSettings

TaskName = Annotated[str, one_of(lambda: TASKS)]


class Params(Settings):
    """The whole of params.yaml."""

    task: TaskName = setting("classification", "what is learnt")
    seed: Seed = setting(0, "decides head, order, augmentation and dropout")
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    ablation: AblationSettings = AblationSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _fits_the_task(self) -> "Params":
        task = TASKS[self.task]
        refuse_settings(task, flatten(self.model_dump(include={"data", "model", "train"})))
        refuse_backbone(task, self.model.backbone)
        self._reach_the_embeddings()
        if not task.solves_head and self.train.head.method == "solve":
            raise ValueError(
                f"train.head.method solve is for one linear layer, and the head of {task.name} has "
                "more: set it to descend, with train.head.epochs and train.head.learning_rate"
            )
        scores = task.scores
        wanted = {"train.selection.metric": "val_", "ablation.metric": ""}
        given = (self.train.selection.metric, self.ablation.metric)
        for (name, prefix), metric in zip(wanted.items(), given, strict=True):
            allowed = [f"{prefix}{score}" for score in ("loss", *scores)]
            if metric not in allowed:
                raise ValueError(f"{name} should be {', '.join(allowed)}; given {metric!r}")
        return self

    def _reach_the_embeddings(self) -> None:
        is_whole = self.model.trainable_blocks == "all" and self.train.unfreeze_every_epochs == 0
        if self.train.embeddings.is_on and not is_whole:
            raise ValueError(
                "train.embeddings moves token embeddings, and frozen blocks are computed once, "
                "without it: set model.trainable_blocks all and train.unfreeze_every_epochs 0"
            )


def refuse_backbone(task: type[Task], backbone: str) -> None:
    """Refuse a network that reads other examples than the task has.

    Raises:
        ValueError: it does.
    """
    reads = "texts" if is_text(backbone) else "pictures"
    wanted = "pictures" if task.examples == "pictures" else "texts"
    if reads != wanted:
        names = {"texts": "transformers/<name or folder>", "pictures": "timm/<model>"}
        raise ValueError(
            f"model.backbone {backbone} reads {reads}, and {task.name} learns from "
            f"{task.examples}: set {names[wanted]}"
        )


def refuse_settings(task: type[Task], given: Mapping[str, Any]) -> None:
    """Refuse settings that make no sense for a task and are not as they are defined.

    Args:
        task: with its reasons.
        given: values by dotted name.

    Raises:
        ValueError: one message that lists them all.
    """
    groups = {"data": DataSettings(), "model": ModelSettings(), "train": TrainSettings()}
    defined = flatten({name: group.model_dump() for name, group in groups.items()})
    faults = [
        reason
        for name, value in given.items()
        if value != defined[name] and (reason := task.refusal(name))
    ]
    if faults:
        raise ValueError("; ".join(faults))


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the whole of params.yaml.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    return load_sections(Params, path)


def check_params(tree: Any, origin: str = "params.yaml") -> Params:
    """Build the typed tree from plain values; see :func:`build_tree`."""
    return build_tree(Params, tree, origin)


def override(params: Params, changes: Mapping[str, Scalar], origin: str) -> Params:
    """A copy of ``params`` with some leaves of ``model`` and ``train`` changed.

    Args:
        params: the tree to start from.
        changes: value by dotted name, e.g. ``{"train.penalties.l1": 1e-4}``.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: a name is not a parameter of ``model`` or ``train``, or a value is refused.
    """
    tree = params.model_dump()
    allowed = flatten({name: tree[name] for name in ("model", "train")})
    for name, value in changes.items():
        if name not in allowed:
            raise ParamsError(
                f"{origin}: {name!r} is not a parameter of model or train, which a row can change"
                + (_now(name) or near_names(name, list(allowed)))
            )
        *groups, leaf = name.split(".")
        inner = tree
        for group in groups:
            inner = inner[group]
        inner[leaf] = value
    return check_params(tree, origin)


def _now(name: str) -> str:
    return f"; it is {MOVED[name]} now" if name in MOVED else ""


def recipe_digest(params: Params) -> str:
    """Hash of the recipe that a study is about: the sections model and train."""
    return sha256_json([params.model.model_dump(), params.train.model_dump()])
