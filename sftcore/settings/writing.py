"""params.yaml written from the definitions of its settings: a line each, with its meaning."""

import io
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sftcore.foundations.artifacts import write_text
from sftcore.foundations.settings import Known, Settings
from sftcore.foundations.yaml_files import PARAMS_FILE

HEADER = """\
# Every number that changes a result. A misspelt name or a value out of range is refused, with what
# is allowed. Change one here, or for one experiment: dvc exp run -S train.weight_decay=1e-3
"""
LEFT_OUT = frozenset({"ablation.grid"})  # it has files of its own
_WIDTH = 100
_COLUMN = 34  # where comments begin, if the value leaves room


def params_text(params: Settings, leave_out: frozenset[str] = frozenset()) -> str:
    """The whole of params.yaml.

    Args:
        params: values.
        leave_out: dotted names of groups or settings that do not stand in the file.
    """
    lines = [HEADER.rstrip("\n")]
    for name, info in type(params).model_fields.items():
        value = getattr(params, name)
        lines.append("")
        if isinstance(value, Settings):
            lines += _group(name, value, name, 0, leave_out)
        else:
            lines += _leaf(name, value, info, 0)
    return "\n".join(lines) + "\n"


def rewrite_params(path: Path = PARAMS_FILE) -> str:
    """Write params.yaml anew: the values that it holds, each with its meaning.

    Comments that are not those of the definitions are lost.

    Returns:
        A line that says what was done.

    Raises:
        ParamsError: the file has faults; it stays as it is.
    """
    from sftcore.settings.tree import load_params

    text = params_text(load_params(path), LEFT_OUT)
    if path.read_text(encoding="utf-8") == text:
        return f"{path} is as the definitions have it"
    write_text(path, text)
    return f"wrote {path}"


def _group(
    name: str, group: Settings, path: str, depth: int, leave_out: frozenset[str]
) -> Iterator[str]:
    """A heading with the group's purpose, and its settings: plain ones first."""
    yield from _commented(f"{'  ' * depth}{name}:", _purpose(group))
    fields = {n: i for n, i in _own_first(type(group)).items() if f"{path}.{n}" not in leave_out}
    inner = {name for name in fields if isinstance(getattr(group, name), Settings)}
    for each, info in fields.items():
        if each not in inner:
            yield from _leaf(each, getattr(group, each), info, depth + 1)
    for each in fields:
        if each in inner:
            yield from _group(each, getattr(group, each), f"{path}.{each}", depth + 1, leave_out)


def _own_first(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Fields of a class before those that it inherits."""
    inherited = {name for base in kind.__bases__ for name in getattr(base, "model_fields", {})}
    fields = kind.model_fields
    return {n: i for n, i in fields.items() if n not in inherited} | dict(fields)


def _leaf(name: str, value: Any, info: FieldInfo, depth: int) -> list[str]:
    return _commented(f"{'  ' * depth}{name}: {written(value)}", meaning_of(info))


def _purpose(group: BaseModel) -> str:
    """The first sentence of the class's docstring as a clause."""
    first = (type(group).__doc__ or "").partition("\n")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def meaning_of(info: FieldInfo) -> str:
    """What a setting does; where it is one of some names, these come first."""
    names, meaning = choices_of(info), info.description or ""
    return f"{' | '.join(names)}: {meaning}" if names else meaning


def choices_of(info: FieldInfo) -> list[str]:
    """The names that a setting may be; empty where it may be anything else too."""
    for mark in info.metadata:
        known = getattr(mark, "func", None)
        if isinstance(known, Known):
            return list(known.names())
    if get_origin(info.annotation) is Literal:
        return [str(each) for each in get_args(info.annotation)]
    return []


def _commented(line: str, comment: str) -> list[str]:
    """A line with a comment beside it, which goes on below where it is too long."""
    column = max(_COLUMN, len(line) + 1)
    first, *rest = wrap(comment, _WIDTH - column - 2, break_on_hyphens=False) or [""]
    lines = [f"{line.ljust(column - 1)} # {first}" if first else line]
    return lines + [f"{'':{column - 1}} # {each}" for each in rest]


def written(value: Any) -> str:
    """A value as params.yaml has it on one line."""
    from ruamel.yaml import YAML

    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return f"[{', '.join(written(item) for item in value)}]"
    if value is None:
        return "null"
    yaml, file = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style, yaml.width = True, 10_000
    yaml.dump([value], file)
    return file.getvalue().strip()[1:-1]


def _number(value: float) -> str:
    """A number with a point, which a reader of YAML 1.1 takes for one too: 0.001, 1.0e-5."""
    mantissa, has_exponent, exponent = repr(value).partition("e")
    if not has_exponent:
        return mantissa
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{int(exponent):+d}"
