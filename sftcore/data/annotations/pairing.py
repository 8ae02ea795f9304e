"""Which picture belongs to which annotation file: by their names alone.

Tools put pictures and annotations beside each other (``a.jpg``, ``a.xml``) or in folders that are
named for what they hold (``train/images/a.jpg``, ``train/labels/a.txt``). Without suffix and
without such folders both have the same name, their key: ``train/a``.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from sftcore.data.annotations.documents import read_text
from sftcore.data.annotations.faults import (
    NO_FILE,
    ORPHAN_FILE,
    OUTWARD_NAME,
    SEVERAL_PICTURES,
    Fault,
)
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import listed
from sftcore.data.sources.names import is_example_name, split_of
from sftcore.data.splits import SPLIT_ORDER

_PICTURE_FOLDERS = {"images", "image", "imgs", "img", "jpegimages", "pictures"}
_FILE_FOLDERS = {"annotations", "annotation", "labels", "label", "xml", "xmls"}
MASK_FOLDERS = {"masks", "mask", "segmentationclass"}
# Pictures of which object a pixel belongs to; nothing here reads them.
_OTHER_FOLDERS = {"segmentationobject"}
_ROLES = _PICTURE_FOLDERS | _FILE_FOLDERS | MASK_FOLDERS
_LISTS = re.compile(r"(?:^|/)ImageSets/(?:Main|Segmentation)/(train|val|test)\.txt$")


def key_of(name: str) -> str:
    """What a picture and its annotation file have in common.

    Args:
        name: path in the source.
    """
    *folders, file = name.split("/")
    kept = [folder for folder in folders if folder.lower() not in _ROLES]
    return "/".join([*kept, posixpath.splitext(file)[0]])


def is_below(name: str, folders: Collection[str]) -> bool:
    """Whether one of the folders of a path has one of the names, in any case."""
    return any(part.lower() in folders for part in name.split("/")[:-1])


def picture_names(tree: Tree) -> list[str]:
    """Files that are pictures by their name and lie in no folder of masks, sorted."""
    aside = MASK_FOLDERS | _OTHER_FOLDERS
    return [
        n for n in tree.names() if is_example_name(n, tree.sought.names) and not is_below(n, aside)
    ]


def in_reading_order(tree: Tree, names: Sequence[str]) -> list[str]:
    """Names in the order in which reading them costs least: that of a compressed archive."""
    return sorted(names, key=lambda name: tree.positions.get(tree.base + name, 0))


def by_key(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their keys."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[key_of(name)].append(name)
    return dict(found)


def pair(
    pictures: Sequence[str], files: Sequence[str], *, key: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[Fault]]:
    """Files with the one picture of each.

    Args:
        pictures: names of pictures.
        files: names of annotation files.
        key: of files whose key is not that of their name.

    Returns:
        Picture by file, and a fault for each file without a picture, each file with several, and
        each picture that has several files.
    """
    of_key = by_key(pictures)
    found: dict[str, str] = {}
    faults = []
    for file in files:
        own = of_key.get((key or {}).get(file) or key_of(file), [])
        if not own:
            faults.append(Fault("", file, "", ORPHAN_FILE, "no picture has its name", "picture"))
        elif len(own) > 1:
            faults.append(Fault("", file, "", SEVERAL_PICTURES, listed(own), "picture"))
        else:
            found[file] = own[0]
    of_picture: dict[str, list[str]] = defaultdict(list)
    for file, picture in found.items():
        of_picture[picture].append(file)
    for picture, several in of_picture.items():
        if len(several) > 1:
            what = f"annotated in {listed(several)}"
            faults.append(Fault(picture, several[0], "", SEVERAL_PICTURES, what, "picture"))
            found = {file: own for file, own in found.items() if own != picture}
    return found, faults


def without_files(pictures: Sequence[str], used: Collection[str], advice: str) -> list[Fault]:
    """A remark for each picture that no file names: it is left out, and nobody knows if empty.

    Args:
        pictures: of the source.
        used: those that a file names.
        advice: what makes one an empty picture.
    """
    return [
        Fault(name, "", "", NO_FILE, f"left out; {advice}", "remark")
        for name in pictures
        if name not in used
    ]


def inner_name(name: str) -> str:
    """A name that a file gives, as one relative to a folder of the source.

    Raises:
        Refused: it leads out of the source, or is the address of something.
    """
    plain = posixpath.normpath(name.replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain in ("..", ".") or re.match(r"[A-Za-z]+:", plain):
        raise Refused(OUTWARD_NAME, name)
    return plain


def split_by_folder(name: str) -> str:
    """The split that a folder of a path names, the innermost first; empty for none."""
    parts = PurePosixPath(name).parts[-2::-1]
    return next((split for part in parts if (split := split_of(_word(part)))), "")


def split_by_file(name: str) -> str:
    """The split that a word of a file's name, or else a folder, names."""
    words = re.split(r"[-_.]", PurePosixPath(name).name)
    named = next((split for word in words if (split := split_of(_word(word)))), "")
    return named or split_by_folder(name)


def _word(text: str) -> str:
    """Without a year at the end: ``train2017``."""
    return re.sub(r"\d+$", "", text) or text


def listed_splits(tree: Tree) -> dict[str, str]:
    """Splits by the stems of pictures, as the lists of Pascal VOC name them; the first list counts.

    Raises:
        Refused: a list is not text.
    """
    found: dict[str, str] = {}
    lists = {match[1]: name for name in tree.names() if (match := _LISTS.search(name))}
    for split in SPLIT_ORDER:
        if split in lists:
            for line in read_text(tree.reader(lists[split])()).splitlines():
                if words := line.split():
                    found.setdefault(PurePosixPath(words[0]).name, split)
    return found
