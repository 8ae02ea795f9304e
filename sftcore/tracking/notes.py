"""The description of a run: sections of Markdown that several stages write, each its own."""

import re

_MOST_CHARACTERS = 1800  # of a section; MLflow keeps 8000 of a description
_CUT = " …"
TRAINING, TEST, STUDY, FILES, CELLS_TITLE = "Training", "Test", "Study", "Files", "Cells"
# MLflow folds a description after a few lines: the answer stands first.
_ORDER = (TEST, STUDY, TRAINING, CELLS_TITLE, FILES)
_SPECIAL = re.compile(r"([\\`*_{}\[\]#!|~])")


def put_section(note: str, title: str, text: str) -> str:
    """A description in which one section is replaced, or added in its place.

    What stands before the first section, and sections of other titles, were written by people and
    stay: the former at the start, the latter at the end.

    Args:
        note: the description so far.
        title: of the section.
        text: Markdown without headings; cut where it is too long.
    """
    sections = _sections(note)
    cut = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - len(_CUT)] + _CUT
    sections[title] = cut
    ordered = ["", *_ORDER]
    names = sorted(sections, key=lambda n: ordered.index(n) if n in ordered else len(ordered))
    parts = [f"## {name}\n{sections[name]}" if name else sections[name] for name in names]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_of(note: str, title: str) -> str:
    """The text of a section; empty without one."""
    return _sections(note).get(title, "")


def _sections(note: str) -> dict[str, str]:
    """Texts by title; that before the first title has an empty one."""
    first, *others = re.split(r"^## ", note, flags=re.MULTILINE)
    found = {"": first.strip()}
    for section in others:
        title, _, text = section.partition("\n")
        found[title.strip()] = text.strip()
    return found


def plain(text: str) -> str:
    """Text that comes from the data, so that Markdown and HTML show it as it is."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)
