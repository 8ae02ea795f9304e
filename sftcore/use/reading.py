"""How the files that a user names become examples that a network is shown, kind by kind."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from sftcore.data.kinds import Names
from sftcore.evaluation.predict import ModelRecord, Seen
from sftcore.evaluation.sight import Sight
from sftcore.foundations.errors import ParamsError
from sftcore.tasks.names import LEARNT, PLACED
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened


@dataclass(frozen=True)
class ReadingOptions:
    """What a user may say of the examples; None where nothing is said.

    Attributes:
        max_pixels: of pictures; larger ones are refused undecoded.
        max_characters: of texts; longer ones are refused.
        column: of a table, that holds the texts.
        max_tokens: of an answer.
        temperature: of its draws; 0 takes the likeliest token.
        top_p: of the tokens that are drawn from, see
            :class:`sftcore.models.text.generation.Sampling`.
        seed: of its draws.
        tile: side in pixels of the tiles that a picture is cut into.
        overlap: least part of a tile that the next one shows, too.
    """

    max_pixels: int | None = None
    max_characters: int | None = None
    column: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    tile: int | None = None
    overlap: float | None = None


class Reading(ABC):
    """One kind of examples.

    Args:
        record: of the model.
        options: what the user says of the examples.

    Attributes:
        names: what words and names say about it.
        counted: what the rows of the output are called.
        takes: names of the options that mean something for it.
        group: rows that a network is shown at once, mostly an example each.
    """

    names: ClassVar[Names]
    counted: ClassVar[str]
    takes: ClassVar[tuple[str, ...]]
    group: ClassVar[int]

    @abstractmethod
    def __init__(self, record: ModelRecord, options: ReadingOptions) -> None:
        """Take what the record and the user say of the examples."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What the options come to, on which answers depend."""

    def sight(self, sight: Sight) -> Sight:
        """How the network is shown what is read, of how it is shown prepared examples."""
        return sight

    @abstractmethod
    def examples_of(self, named: Named) -> Iterator[Named]:
        """The examples in a file that the user has named; mostly the file itself.

        Raises:
            DataError: the user asked for this very file, and it cannot hold any.
        """

    @abstractmethod
    def open_all(self, examples: Sequence[Named], num_workers: int) -> Iterator[Opened]:
        """Every example in order, few of them held at any time.

        Args:
            examples: to open.
            num_workers: processes that may help.

        Raises:
            ResourceError: a process was ended from outside.
        """

    @abstractmethod
    def stack(self, examples: Sequence[Any]) -> Any:
        """Examples as :func:`sftcore.evaluation.predict.look_at` takes them."""

    def num_rows(self, example: Any) -> int:
        """How many rows an example is for the network."""
        return 1

    def gathered(self, seen: Seen, examples: Sequence[Any]) -> Seen:
        """What the network says of examples, of what it says of their rows.

        Args:
            seen: of all rows.
            examples: that they belong to, in order.
        """
        return seen


def shown_to(sight: Sight, opened: Opened) -> Opened:
    """The same with notes, or refused if the network cannot be shown it."""
    if opened.example is None:
        return opened
    fault = sight.why_not(opened.example)
    if fault:
        return replace(opened, example=None, reason=fault)
    return replace(opened, notes=sight.note(opened.example))


def reading_of(record: ModelRecord, options: ReadingOptions) -> Reading:
    """How the examples of a model's kind are read.

    Args:
        record: of the model.
        options: what the user says of the examples.

    Raises:
        ParamsError: an option means nothing for them.
    """
    is_placed = LEARNT[record.task].target in PLACED
    kind = (_tiled_pictures if is_placed else _KINDS[record.kind])()
    # Models of other pictures do take tiles, so there the kind alone would be no reason.
    task = f" for {record.task}" if record.kind == "pictures" else ""
    for name, value in asdict(options).items():
        if value is not None and name not in kind.takes:
            raise ParamsError(
                f"--{name.replace('_', '-')} means nothing for a model of {record.kind}{task}: "
                "leave it out"
            )
    return kind(record, options)


def _pictures() -> type[Reading]:
    from sftcore.use.pictures import PictureReading

    return PictureReading


def _tiled_pictures() -> type[Reading]:
    from sftcore.use.tiled_pictures import TiledReading

    return TiledReading


def _texts() -> type[Reading]:
    from sftcore.use.texts import TextReading

    return TextReading


def _dialogues() -> type[Reading]:
    from sftcore.use.dialogues import DialogueReading

    return DialogueReading


# Imported here, as each kind imports the contract.
_KINDS: dict[str, Callable[[], type[Reading]]] = {
    "pictures": _pictures,
    "texts": _texts,
    "dialogues": _dialogues,
}
