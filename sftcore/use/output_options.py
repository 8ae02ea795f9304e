"""What a user asks to be written of pictures besides the table, and what of it cannot be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sftcore.foundations.errors import DataError, OutputError, ParamsError
from sftcore.foundations.tables import printable
from sftcore.use.contract import Usage
from sftcore.use.inputs import Named


@dataclass(frozen=True)
class OutputOptions:
    """Where to write; None where nothing is asked for.

    Attributes:
        draw: folder of the pictures with what is found on them.
        masks: folder of the classes of their pixels.
        coco: file of all boxes.
    """

    draw: Path | None = None
    masks: Path | None = None
    coco: Path | None = None

    @property
    def folders(self) -> dict[str, Path]:
        """Those that are asked for, by the name of the option."""
        pairs = {"draw": self.draw, "masks": self.masks}
        return {name: folder for name, folder in pairs.items() if folder is not None}

    @property
    def is_any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.folders) or self.coco is not None


def check_outputs(
    options: OutputOptions, usage: Usage[Any, Any], task: str, out: Path, inputs: Sequence[str]
) -> None:
    """Refuse what means nothing for the task, or would be in the way of something else.

    Args:
        options: of the user.
        usage: of the model.
        task: of the model.
        out: the table.
        inputs: as the user names them.

    Raises:
        ParamsError: an option means nothing, two outputs are in one place, or an input lies in a
            folder that is written to.
        OutputError: there is a file where a folder is wanted, or the other way round.
    """
    for name, place in asdict(options).items():
        if place is not None and name not in usage.writes:
            raise ParamsError(f"--{name} means nothing for a model of {task}: leave it out")
    folders = {f"--{name}": folder for name, folder in options.folders.items()}
    _check_apart(folders, {"--out": out, "--coco": options.coco})
    for name, folder in folders.items():
        for argument in inputs:
            if Path(argument).exists() and _is_inside(Path(argument), folder):
                raise ParamsError(
                    f"the input {printable(argument)} lies in the folder of {name}, {folder}, and "
                    "might be overwritten: name another folder"
                )
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file: name a folder after {name}")
    if options.coco is not None and options.coco.is_dir():
        raise OutputError(f"{options.coco} is a folder: name a file after --coco")


def _check_apart(folders: dict[str, Path], files: dict[str, Path | None]) -> None:
    places = {**folders, **{name: file for name, file in files.items() if file is not None}}
    names = list(places)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if places[first].resolve() == places[second].resolve():
                raise ParamsError(f"{first} and {second} name one place: {places[first]}")
    for outer, inner in (("--draw", "--masks"), ("--masks", "--draw")):
        if {outer, inner} <= folders.keys() and _is_inside(folders[inner], folders[outer]):
            raise ParamsError(
                f"the folder of {inner} lies in that of {outer}, where pictures could have the "
                "same names: name two folders beside each other"
            )


def without_outputs(files: Sequence[Named], options: OutputOptions) -> list[Named]:
    """The inputs but what an earlier run has written below a folder that was named.

    Args:
        files: that were found.
        options: of the user.

    Raises:
        DataError: nothing else is left.
    """
    if not options.is_any:
        return list(files)
    own = [*options.folders.values(), *([options.coco] if options.coco else [])]
    kept = [of for of in files if not any(_is_inside(Path(of.path), place) for place in own)]
    if not kept:
        raise DataError(f"all files lie in {', '.join(map(str, own))}, which is written to")
    return kept


def _is_inside(path: Path, place: Path) -> bool:
    """Whether a path is a place or lies in it, links followed."""
    return path.resolve().is_relative_to(place.resolve())
