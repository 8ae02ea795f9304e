"""What a file's name says: whether it is no example, and which split it belongs to."""

import re
from pathlib import PurePosixPath
from posixpath import splitext

from sftcore.data.file_names import TEXT_SUFFIXES
from sftcore.data.kinds import Names
from sftcore.data.pictures.names import PICTURE_NAMES

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


_OTHER_NAMES = ("thumbs.db", "desktop.ini", ".ds_store")
_OTHER_STEMS = ("readme", "license", "licence", "copying", "makefile", "changelog")


def other_kind(name: str, names: Names = PICTURE_NAMES) -> str:
    """The suffix (or the name, where it has none) of a file that is no example by its name.

    Args:
        name: of the file.
        names: of the kind of examples.

    Returns:
        Empty for everything that may be an example: it is judged by its bytes.
    """
    file = name.rpartition("/")[2]
    stem, suffix = splitext(file.lower())
    # A picture may be called readme; a text of this name explains the others.
    is_note = stem in _OTHER_STEMS and (not suffix or suffix in names.suffixes & TEXT_SUFFIXES)
    if file.lower() in _OTHER_NAMES or is_note:
        return file
    return suffix if suffix in names.others else ""


def is_example_name(name: str, names: Names = PICTURE_NAMES) -> bool:
    """Whether a name ends as those of the kind do."""
    return splitext(name)[1].lower() in names.suffixes and not other_kind(name, names)


def is_hidden(name: str) -> bool:
    """Whether a part of the path is hidden, or what an archiver puts beside the files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def split_of(name: str) -> str:
    """The split that a folder's name means, in any case; empty for other names."""
    return SPLIT_NAMES.get(name.lower(), "")


def split_of_file(name: str) -> str:
    """The split that a path names: as a word of the file's name, or else in a folder of it.

    ``train-00000-of-00002.parquet``, ``set-val-000001.tar`` and ``test/000000.tar`` do.
    """
    path = PurePosixPath(name)
    words = [*re.split(r"[-_.]", path.name), *path.parts[-2::-1]]
    return next((split_of(word) for word in words if split_of(word)), "")
