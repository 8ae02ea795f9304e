"""Keywords that people gave to the drawings of the Open Clip Art Library.

They stand in the metadata of the SVG files: ``dc:subject`` holds an ``rdf:Bag`` of ``rdf:li``.
"""

import re
from collections.abc import Iterable, Mapping
from html import unescape

_SUBJECT = re.compile(r"<dc:subject\b.*?</dc:subject>", re.DOTALL)
_ITEM = re.compile(r"<rdf:li\b[^>]*>(.*?)</rdf:li>", re.DOTALL)
_PUBLIC_DOMAIN = re.compile(r'<cc:license\s+rdf:resource="[^"]*/PublicDomain"', re.IGNORECASE)
_PICTURE = re.compile(r"""<(?:svg:)?image\b[^>]*?xlink:href\s*=\s*["'](.*?)["']""", re.DOTALL)

# Other forms of a keyword.
SAME: Mapping[str, str] = {
    "animals": "animal",
    "flowers": "flower",
    "fruits": "fruit",
    "mammals": "mammal",
    "plants": "plant",
    "sport": "sports",
    "tools": "tool",
    "transportation": "transport",
}
# What a keyword means by its own definition. Only part of the drawings carry both.
ABOVE: Mapping[str, str] = {
    "flower": "plant",
    "mammal": "animal",
}


def keywords_of(svg: str) -> set[str]:
    """All keywords of a drawing in lower case, as they were typed.

    The files are searched as text: some are no well-formed XML.
    """
    subject = _SUBJECT.search(svg)
    items = _ITEM.findall(subject[0]) if subject else []
    return {unescape(item).strip().lower() for item in items} - {""}


def is_public_domain(svg: str) -> bool:
    """Whether the drawing's own metadata dedicate it to the public domain."""
    return _PUBLIC_DOMAIN.search(svg) is not None


def is_whole(svg: str) -> bool:
    """Whether the drawing needs no picture file beside it; the library has lost those."""
    return all(address.startswith("data:") for address in _PICTURE.findall(svg))


def labels_of(keywords: Iterable[str], vocabulary: Iterable[str]) -> set[str]:
    """The labels that keywords stand for: forms merged, the implied added, the rest left out."""
    found = {SAME.get(keyword, keyword) for keyword in keywords}
    found |= {ABOVE[name] for name in found if name in ABOVE}
    return found & set(vocabulary)
