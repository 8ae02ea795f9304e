"""From a file's bytes or a table's cell to a text, or the reason why not.

Bytes are UTF-8, or UTF-16 if its mark stands before them. Other encodings are refused and not
guessed: a wrong guess gives a text with other letters, and nobody is told. A text is normalised so
that what reads the same is the same: Unicode's composed form (NFC, Unicode Standard Annex 15); all
line breaks, also form feeds, as ``\\n`` (The Unicode Standard, section 5.8); no white space around
it. Nothing inside is removed: other control characters are a reason to refuse.
"""

import codecs
import re
import unicodedata
from itertools import groupby

from sftcore.data.kinds import Refused

MAX_CHARACTERS = 1_000_000  # of a text, where no parameter says so
# A character of the composed form has at most this many bytes in any form: three letters of a
# Korean syllable. What is longer is over the limit without being decoded.
_MOST_BYTES = 12
# Marks on one letter. The composed form sorts them, in quadratic time; Unicode's own limit for
# streams is 30 (Unicode Standard Annex 15, section 13).
_MOST_MARKS = 30
_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(content: bytes, *, max_characters: int = MAX_CHARACTERS) -> str:
    """The only way from bytes to a text, for training and for use alike.

    Args:
        content: a file's bytes, or those of a table's cell.
        max_characters: a longer text is refused; nothing is ever cut.

    Raises:
        Refused: empty, not UTF-8 or UTF-16, with control characters, or over the limit.
    """
    if len(content) > _MOST_BYTES * max_characters:
        raise Refused("over the character limit", f"{len(content)} bytes")
    text = _BREAK.sub("\n", _decode(content))
    if control := _CONTROL.search(text):
        place = f"U+{ord(control[0]):04X} at character {control.start() + 1}"
        raise Refused("control characters", f"{place}: it is no text, or remove it")
    text = _composed(text).strip()
    if all(c.isspace() or unicodedata.category(c) == "Cf" for c in text):
        raise Refused("empty", "no visible character")
    if len(text) > max_characters:
        raise Refused("over the character limit", f"{len(text)} characters")
    return text


def cell_bytes(cell: object) -> bytes:
    """A table's cell as the bytes that :func:`decode_text` takes.

    Raises:
        Refused: it is neither a text nor bytes.
    """
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, str):
        return cell.encode("utf-8", "surrogatepass")  # JSON can spell halves of a character
    if cell is None or cell != cell:
        raise Refused("empty", "no text in the row")
    raise Refused("not a text", f"the cell holds a {type(cell).__name__}")


def _decode(content: bytes) -> str:
    name, codec = ("UTF-16", "utf-16") if content.startswith(_UTF_16) else ("UTF-8", "utf-8-sig")
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        detail = f"{error.reason}, {byte:#04x} at byte {error.start + 1}: save it as UTF-8"
        raise Refused(f"not {name}", detail) from error


def _composed(text: str) -> str:
    """The composed form, NFC."""
    if text.isascii():
        return text
    runs = groupby(text, lambda c: unicodedata.combining(c) > 0)
    longest = max((len(list(run)) for is_marks, run in runs if is_marks), default=0)
    if longest > _MOST_MARKS:
        raise Refused("not a text", f"{longest} marks on one letter")
    return unicodedata.normalize("NFC", text)
