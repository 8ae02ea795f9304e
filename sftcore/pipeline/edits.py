"""Values inside of a YAML text, changed in place: all that stands around them stays byte for byte.

A round trip through a YAML library keeps comments, and breaks long lines and flow lists anew. Here
the library only tells where a value stands.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import MappingNode

from sftcore.foundations.errors import ParamsError
from sftcore.foundations.yaml_files import flatten
from sftcore.settings.writing import written

_BEFORE_COMMENT = re.compile(r"[ \t]*(?=#)")


@dataclass(frozen=True)
class Place:
    """Where a value stands: its first character, the one after it, and where a comment begins."""

    start: int
    end: int
    stop: int


@dataclass(frozen=True)
class Sheet:
    """A YAML text of sections with values.

    Attributes:
        text: as it stands in the file.
        tree: as it is read.
        places: of the values, by dotted name.
    """

    text: str
    tree: dict[str, Any]
    places: dict[str, Place]

    def value(self, name: str) -> Any:
        """What is read under a dotted name.

        Raises:
            ParamsError: there is no such value.
        """
        self._place(name)
        return flatten(self.tree)[name]

    def piece(self, name: str) -> str:
        """A value as it is written, with the blanks up to a comment behind it.

        Raises:
            ParamsError: there is no such value.
        """
        place = self._place(name)
        return self.text[place.start : place.stop]

    def with_pieces(self, pieces: Mapping[str, str]) -> "Sheet":
        """The text with other pieces, as :meth:`piece` gives them, by dotted name.

        Raises:
            ParamsError: a name is not there, or the text is not YAML any more.
        """
        text = self.text
        for name in sorted(pieces, key=lambda name: -self._place(name).start):  # from the end on
            text = text[: self.places[name].start] + pieces[name] + text[self.places[name].stop :]
        return read_sheet(text)

    def with_values(self, values: Mapping[str, Any]) -> "Sheet":
        """The text with other values; comments stay in their column where there is room.

        Raises:
            ParamsError: a name is not there, or another value would change with it (an anchor).
        """
        expected = flatten(self.tree) | dict(values)
        pieces = {name: self._fitted(name, value) for name, value in values.items()}
        with suppress(ParamsError):  # an anchor went, and what points to it stands alone
            changed = self.with_pieces(pieces)
            if flatten(changed.tree) == expected:
                return changed
        raise ParamsError(
            f"params.yaml is written in a way in which {', '.join(values)} cannot be changed alone "
            "(an anchor, or a block of text): change it by hand"
        )

    def _fitted(self, name: str, value: Any) -> str:
        place, text = self._place(name), written(value)
        if place.stop == place.end:
            return text
        return text.ljust(place.stop - place.start - 1) + " "

    def _place(self, name: str) -> Place:
        if name not in self.places:
            raise ParamsError(f"params.yaml has no {name}")
        return self.places[name]


def read_sheet(text: str) -> Sheet:
    """Read a YAML text and find its values.

    Raises:
        ParamsError: it is not YAML, or holds no sections.
    """
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
        tree = yaml.constructor.construct_document(node)
        places = dict(_places(text, node, ""))
    except Exception as error:  # the reader raises many kinds
        raise ParamsError(f"params.yaml cannot be read for a change: {error}") from error
    return Sheet(text, tree, places)


def _places(text: str, node: Any, prefix: str) -> Iterator[tuple[str, Place]]:
    """The values of a mapping and of those inside it, by dotted name."""
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if isinstance(value, MappingNode):
            yield from _places(text, value, f"{name}.")
        else:
            yield name, _placed(text, value)


def _placed(text: str, node: Any) -> Place:
    last = node
    while isinstance(last.value, list) and not last.flow_style and last.value:
        last = last.value[-1]  # a block ends where its last value does, and not at the next key
        last = last[1] if isinstance(last, tuple) else last
    end = last.end_mark.index
    blanks = _BEFORE_COMMENT.match(text, end)
    return Place(node.start_mark.index, end, blanks.end() if blanks else end)
