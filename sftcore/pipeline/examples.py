"""What a task and the section data of params.yaml say of the examples that are looked for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sftcore.data.dialogues.kind import DialogueKind
from sftcore.data.kinds import Kind
from sftcore.data.pictures.annotated import AnnotatedKind
from sftcore.data.pictures.decode import Decoding
from sftcore.data.pictures.kind import PictureKind
from sftcore.data.settings import DataSettings
from sftcore.data.sources import Sought
from sftcore.data.targets.target import Target, TargetKind
from sftcore.data.texts.kind import TextKind
from sftcore.tasks.names import LEARNT


@dataclass(frozen=True)
class Examples:
    """Which examples a task learns from.

    Attributes:
        kind: of them, with its limits.
        target: what is to be predicted of each.
    """

    kind: Kind
    target: Target

    @property
    def sought(self) -> Sought:
        """What a source is asked for."""
        return Sought(self.kind.names, self.target)


def examples_of(task: str, data: DataSettings) -> Examples:
    """The kind and the targets of a task's examples, as the settings have them.

    Args:
        task: its name.
        data: the section of params.yaml.
    """
    learnt = LEARNT[task]
    target = _target(learnt.target, data)
    kind = _KINDS[learnt.kind](data)
    if target.is_annotated:
        kind = AnnotatedKind(_decoding(data), has_masks=target.kind == "masks")
    return Examples(kind, target)


def _pictures(data: DataSettings) -> PictureKind:
    return PictureKind(_decoding(data))


def _decoding(data: DataSettings) -> Decoding:
    red, green, blue = data.pictures.background
    return Decoding(data.pictures.image_size, data.pictures.max_pixels, (red, green, blue))


def _texts(data: DataSettings) -> TextKind:
    return TextKind(data.texts.max_characters)


def _dialogues(data: DataSettings) -> DialogueKind:
    return DialogueKind(data.texts.max_characters)


_KINDS: Mapping[str, Callable[[DataSettings], Kind]] = {
    "pictures": _pictures,
    "texts": _texts,
    "dialogues": _dialogues,
}


def _target(kind: TargetKind, data: DataSettings) -> Target:
    targets = data.targets
    return Target(
        kind,
        tuple(targets.columns),
        -math.inf if targets.low is None else targets.low,
        math.inf if targets.high is None else targets.high,
        data.annotations,
    )
