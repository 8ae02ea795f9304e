"""From plain values to typed settings: one message for all faults, before any work starts."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sftcore.foundations.errors import ParamsError
from sftcore.foundations.settings import Settings
from sftcore.foundations.yaml_files import PARAMS_FILE, read_yaml
from sftcore.settings.moved import refuse_old_names

Tree = TypeVar("Tree", bound=BaseModel)
_SHORT = Repr()  # of what was given: a few lines of YAML can stand for gigabytes
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80


class Sections(Settings):
    """Some sections of params.yaml: those that a stage reads; the others are not looked at."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


def load_sections(model: type[Tree], path: Path = PARAMS_FILE) -> Tree:
    """Read and check sections of params.yaml.

    Args:
        model: the sections, or all of them.
        path: of the file.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    try:
        tree = read_yaml(path)
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is not here: run from the folder that holds dvc.yaml") from error
    if isinstance(tree, dict):
        refuse_old_names(tree, str(path))
    return build_tree(model, tree, str(path))


def build_tree(model: type[Tree], tree: Any, origin: str) -> Tree:
    """Build any typed tree from plain values.

    Args:
        model: of the tree.
        tree: nested mappings.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = _in_words(error.errors(), model)
        raise ParamsError(
            f"{origin} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  " + "\n  ".join(faults)
        ) from error


def _in_words(faults: Sequence[ErrorDetails], model: type[BaseModel]) -> list[str]:
    """A line per place; where a value may be of several kinds, what each of them wants."""
    by_place: dict[str, list[ErrorDetails]] = {}
    for fault in faults:
        place = ".".join(str(part) for part in fault["loc"] if not _is_union_tag(part))
        by_place.setdefault(place, []).append(fault)
    lines = []
    for place, same in by_place.items():
        if len(same) == 1 or not place:
            lines += [_describe(fault, place, model) for fault in same]
        else:
            wants = dict.fromkeys(fault["msg"].removeprefix("Input ") for fault in same)
            lines.append(f"{place}: {', or '.join(wants)}; given {_shown(same[0]['input'])}")
    return lines


def _describe(fault: ErrorDetails, place: str, model: type[BaseModel]) -> str:
    """One fault in words: what, what is allowed, what was given."""
    given = fault["input"]
    if fault["type"] == "extra_forbidden":
        return f"{place}: no such parameter{_suggest(fault['loc'], model)}"
    if fault["type"] == "missing":
        return f"{place}: missing"
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not place:
        return text
    return f"{place}: {text}; given {_shown(given)}"


def _shown(value: Any) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of too many digits"


def _is_union_tag(part: int | str) -> bool:
    """Whether pydantic put the tag of a union member into the location."""
    return isinstance(part, str) and (
        part in ("bool", "int", "float", "str", "none")
        or part.startswith(("literal[", "constrained-", "function-"))
    )


def _suggest(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """Near names of the misspelt key's section, or all of them."""
    section = model
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        section = annotation
    return near_names(str(location[-1]), list(section.model_fields))


def near_names(name: str, allowed: Sequence[str]) -> str:
    """What else could have been meant: a near name, or else all of them."""
    near = get_close_matches(name, allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"
