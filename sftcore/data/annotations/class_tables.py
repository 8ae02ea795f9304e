"""Tables of classes: which name a number or a colour of an annotation stands for.

Known are ``data.yaml`` (``names`` as a list or by number), ``classes.txt``, ``obj.names`` (a name
a line), CVAT's ``labelmap.txt`` (``name:r,g,b:parts:actions``), ``classes.csv`` with
``name,r,g,b``, or with ``value,name`` and columns for people, where 255 may say what the pixels are
that do not count, and Roboflow's ``_classes.csv`` with ``Pixel Value, Class``.
"""

import csv
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftcore.data.annotations.documents import clean, read_text, read_yaml, shortened, whole_of
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED
from sftcore.foundations.tables import printable

Colour = tuple[int, int, int]
YOLO_TABLES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")
MASK_TABLES = ("labelmap.txt", "classes.csv", "_classes.csv", "class_dict.csv", "classes.txt")


@dataclass(frozen=True)
class ClassTable:
    """Names of classes by what annotations have in their place.

    Attributes:
        names: by number, or by packed colour, see :func:`packed`; the order is that of the file
            where colours are, and ascending otherwise.
        is_coloured: whether the keys are colours.
    """

    names: Mapping[int, str]
    is_coloured: bool = False


def packed(colour: Colour) -> int:
    """A colour as one number."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def find_table(tree: Tree, names: Sequence[str]) -> tuple[str, ClassTable] | None:
    """The table of a source, wherever it lies; none where there is none.

    Args:
        tree: seen from its top.
        names: of files that may be tables.

    Raises:
        DataError: a table cannot be read, or two of them say different things.
    """
    found = [n for n in tree.names() if posixpath.basename(n).lower() in names]
    tables = {name: read_table(tree, name) for name in found}
    if not tables:
        return None
    first, *others = tables
    for name in others:
        if tables[name] != tables[first]:
            raise DataError(
                f"{tree.shown(first)} and {tree.shown(name)} are tables of classes that differ: "
                f"{difference(tables[first].names, tables[name].names)}. Keep the one that the "
                "annotations were made with"
            )
    return first, tables[first]


def read_table(tree: Tree, name: str) -> ClassTable:
    """One table.

    Args:
        tree: that holds it.
        name: of its file.

    Raises:
        DataError: it cannot be read, or a number, a colour or a name stands twice.
    """
    file = posixpath.basename(name).lower()
    suffix = posixpath.splitext(file)[1]
    read: Callable[[bytes], ClassTable] = {
        ".yaml": _of_yaml, ".yml": _of_yaml, ".csv": _of_csv,
    }.get(suffix, _of_labelmap if file == "labelmap.txt" else _of_lines)  # fmt: skip
    try:
        return read(tree.reader(name)())
    except Refused as why:
        raise DataError(
            f"{tree.shown(name)} is no table of classes: {why.reason}: {printable(why.detail)}"
        ) from why


def difference(first: Mapping[int, str], second: Mapping[int, str]) -> str:
    """Where two tables differ: the first number of which they name different classes."""
    for number in sorted(first.keys() | second.keys()):
        ours, theirs = first.get(number, "nothing"), second.get(number, "nothing")
        if ours != theirs:
            return f"{number} is {printable(ours)!r} in one and {printable(theirs)!r} in the other"
    return "in the order of their classes"


def _table(pairs: Sequence[tuple[int, str]], *, is_coloured: bool = False) -> ClassTable:
    what = "colour" if is_coloured else "number"
    names: dict[int, str] = {}
    for key, given in pairs:
        name = clean(given).strip()
        if not name:
            raise Refused("a class without a name", f"{what} {key}")
        if name in names.values():
            raise Refused("a class stands twice", shortened(name))
        if key in names:
            raise Refused(f"a {what} stands twice", f"{names[key]} and {shortened(name)}")
        names[key] = name
    if not names:
        raise Refused("no class in it", "")
    return ClassTable(names if is_coloured else dict(sorted(names.items())), is_coloured)


def _of_yaml(content: bytes) -> ClassTable:
    document = read_yaml(content)
    names: Any = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        pairs = list(enumerate(names))
    elif isinstance(names, dict):
        pairs = [(_number(key), name) for key, name in names.items()]
    else:
        raise Refused("no names in it", "names: [first, second] or names: {0: first, 1: second}")
    if any(isinstance(name, dict | list) or name is None for _, name in pairs):
        raise Refused("a name that is none", "names are texts")
    return _table([(key, str(name)) for key, name in pairs])


def _number(value: Any) -> int:
    number = whole_of(value)
    if number is None or number < 0:
        raise Refused("a number that is none", shortened(value))
    return number


def _of_lines(content: bytes) -> ClassTable:
    lines = read_text(content).rstrip().splitlines()
    return _table(list(enumerate(lines)))


def _of_labelmap(content: bytes) -> ClassTable:
    pairs = []
    for line in read_text(content).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        # A name may have a colon itself; what follows it has three.
        fields = line.rsplit(":", 3)
        if len(fields) < 4:
            raise Refused("a line without name:r,g,b:parts:actions", shortened(line))
        pairs.append((packed(_colour(fields[1].split(","))), fields[0]))
    return _table(pairs, is_coloured=True)


def _of_csv(content: bytes) -> ClassTable:
    try:
        rows = [row for row in csv.reader(read_text(content).splitlines(), strict=True) if row]
    except csv.Error as error:
        raise Refused("not CSV", str(error)) from error
    rows = [[cell.strip() for cell in row] for row in rows]
    if not rows:
        raise Refused("no class in it", "")
    if rows[0][0].lower() == "pixel value":
        return _table([(_number(row[0]), row[1]) for row in _of_width(rows[1:], 2)])
    if [cell.lower() for cell in rows[0][:2]] == ["value", "name"]:
        own = _of_width(rows[1:], len(rows[0]))
        return _table([(_number(row[0]), row[1]) for row in own if row[0] != str(IGNORED)])
    if whole_of(rows[0][-1]) is None:  # names of the columns
        rows = rows[1:]
    pairs = [(packed(_colour(row[1:])), row[0]) for row in _of_width(rows, 4)]
    return _table(pairs, is_coloured=True)


def _of_width(rows: Sequence[list[str]], width: int) -> Sequence[list[str]]:
    for row in rows:
        if len(row) != width:
            raise Refused(f"a row without {width} cells", shortened(",".join(row)))
    return rows


def _colour(cells: Sequence[str]) -> Colour:
    values = [whole_of(cell) for cell in cells]
    red, green, blue = [
        v if v is not None and 0 <= v <= 255 else -1 for v in (*values, -1, -1, -1)
    ][:3]
    if len(values) != 3 or min(red, green, blue) < 0:
        raise Refused("a colour that is none", shortened(",".join(cells)))
    return red, green, blue
