"""JSON, XML and YAML from anywhere as plain values; what is no such thing is refused shortly."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sftcore.data.kinds import Refused

MAX_XML_DEPTH = 40
_MAX_YAML_CHARACTERS = 200_000
_MAX_YAML_DEPTH = 10
_NUMBER = re.compile(r"[-+]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][-+]?\d{1,4})?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)


def read_text(content: bytes) -> str:
    """UTF-8 with or without its mark, line breaks as they are.

    Raises:
        Refused: other bytes.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8", f"byte {error.start + 1}; save it as UTF-8") from error


def read_json(content: bytes) -> Any:
    """Plain values of a JSON document.

    Raises:
        Refused: it is no JSON, too deep for the reader, or has a name twice in one object.
    """
    try:
        return json.loads(read_text(content), object_pairs_hook=_unique)
    except RecursionError as error:
        raise Refused("not JSON", "nested too deep") from error
    except ValueError as error:
        raise Refused("not JSON", str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the name {clean(twice)!r} stands twice in one object")
    return found


def read_xml(content: bytes) -> Element:
    """The root of an XML document without a document type.

    A document type is where entities are declared: some swell to any size, some name other files
    (Morgan and Ibrahim, 2014, "XML Schema, DTD, and Entity Attacks"). No annotation needs one.

    Raises:
        Refused: it is no XML, has a document type, or is nested deeper than annotations are.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_XML_DEPTH:
            raise Refused("not an annotation", f"nested more than {MAX_XML_DEPTH} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse_type(*_: object) -> None:
        raise Refused("unsafe XML", "a document type (<!DOCTYPE ...>): remove it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_type
    parser.EntityDeclHandler = refuse_type
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:  # unknown encodings raise these
        raise Refused("not XML", str(error)) from error


def read_yaml(content: bytes) -> Any:
    """Plain values of a small YAML document.

    Raises:
        Refused: it is no YAML, or longer or deeper than a table of classes is.
    """
    from ruamel.yaml import YAML

    text = read_text(content)
    if len(text) > _MAX_YAML_CHARACTERS:
        raise Refused("not a table of classes", f"{len(text)} characters")
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _MAX_YAML_DEPTH
    try:
        return yaml.load(text)
    except Exception as error:  # the reader raises many kinds on hostile text
        raise Refused("not YAML", str(error) or type(error).__name__) from error


def number_of(value: Any) -> float | None:
    """A number of a document; None for all that is none.

    Args:
        value: a number, or a text that is one, also ``nan`` or ``inf``; truth values are none.
    """
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMBER.fullmatch(text) or _NO_NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


def whole_of(value: Any) -> int | None:
    """A whole number of a document; None for all that is none."""
    number = number_of(value)
    if number is None or not math.isfinite(number) or number != int(number):
        return None
    return value if isinstance(value, int) else int(number)


def numbers_of(values: Any) -> list[float] | None:
    """A list of numbers; None for all that is none."""
    if not isinstance(values, list):
        return None
    numbers = [number_of(value) for value in values]
    return None if any(n is None for n in numbers) else [n for n in numbers if n is not None]


def clean(text: object) -> str:
    """A text that can be written: halves of characters outside of Unicode become ``?``."""
    return str(text).encode("utf-8", "replace").decode()


def shortened(value: object, most: int = 60) -> str:
    """A value in a message: one line of so many characters."""
    # A container of a hostile document can be of any size, and would be written out whole.
    text = type(value).__name__ if isinstance(value, dict | list) else clean(value)
    return text if len(text) <= most else f"{text[:most]}..."


def listed_numbers(numbers: Iterable[float]) -> str:
    """Numbers with commas in six digits."""
    return ", ".join(f"{number:.6g}" for number in numbers)
