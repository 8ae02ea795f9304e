"""Reading params.yaml: one message for all faults, before any work starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.errors import ParamsError
from sftcore.settings.parameter_types import Scalar
from sftcore.settings.sections import Params

PARAMS_FILE = Path("params.yaml")
Tree = TypeVar("Tree", bound=BaseModel)
_MAX_YAML_LENGTH = 1_000_000
_SHORT = Repr()  # of what was given: a few lines of YAML can stand for gigabytes
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    YAML 1.2 is read, in which ``1e-5`` is a number (YAML 1.1 makes it a string).

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    try:
        tree = read_yaml(path)
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is not here: run from the folder that holds dvc.yaml") from error
    if isinstance(tree, dict) and isinstance(tree.get("ablation"), dict):
        _refuse_grids(tree["ablation"], path)
    return check_params(tree, str(path))


def _refuse_grids(ablation: Mapping[str, Any], path: Path) -> None:
    """What stood in params.yaml before studies had files of their own."""
    if found := [f"ablation.{name}" for name in ("grid", "quick", "full") if name in ablation]:
        raise ParamsError(
            f"{path} holds {', '.join(found)}: a study has a file of its own in studies/, which "
            "ablation.study names"
        )


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML 1.2 file.

    Raises:
        FileNotFoundError: there is no such file.
        ParamsError: it is not YAML.
    """
    from ruamel.yaml import YAML

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not a file of UTF-8 text: {error}") from error
    if len(text) > _MAX_YAML_LENGTH:
        raise ParamsError(f"{path} has {len(text)} characters, {_MAX_YAML_LENGTH} are allowed")
    try:
        return YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # the reader raises many kinds on hostile text
        raise ParamsError(f"{path} is not YAML: {str(error) or type(error).__name__}") from error


def check_params(tree: Any, origin: str) -> Params:
    """Build the typed tree from plain values.

    Args:
        tree: what YAML gave: nested mappings.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: one message that lists every fault with what is allowed.
    """
    return build_tree(Params, tree, origin)


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


def override(params: Params, changes: Mapping[str, Scalar], origin: str) -> Params:
    """A copy of ``params`` with some leaves of ``model`` and ``train`` changed.

    Args:
        params: the tree to start from.
        changes: value by dotted name, e.g. ``{"train.l1": 1e-4}``.
        origin: what the message calls the place of the faults.

    Raises:
        ParamsError: a name is not a parameter of ``model`` or ``train``, or a value is refused.
    """
    tree = params.model_dump()
    for name, value in changes.items():
        section, _, leaf = name.partition(".")
        if section not in ("model", "train") or leaf not in tree[section]:
            raise ParamsError(
                f"{origin}: {name!r} is not a parameter that a row can change. Allowed: "
                + ", ".join(f"{s}.{key}" for s in ("model", "train") for key in tree[s])
            )
        tree[section][leaf] = value
    return check_params(tree, origin)


def recipe_digest(params: Params) -> str:
    """Hash of the recipe that a study is about: the sections model and train."""
    return sha256_json([params.model.model_dump(), params.train.model_dump()])


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by dotted name; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


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
        or part.startswith(("literal[", "constrained-"))
    )


def _suggest(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """Near names of the misspelt key's section, or all of them."""
    from difflib import get_close_matches

    section = model
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        section = annotation
    allowed = list(section.model_fields)
    near = get_close_matches(str(location[-1]), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"
