"""Names of the files that are written of a user's pictures: like theirs, and never two alike."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from sftcore.foundations.tables import printable
from sftcore.use.inputs import Named

SUFFIX = ".png"
_MOST_BYTES = 200  # of a part of a name: systems take 255, and a temporary file has more around it
_NOT_KEPT = ("", ".", "..")


def relative_names(examples: Sequence[Named]) -> list[str]:
    """Where each picture lies below the innermost folder, or archive, that holds all of them.

    Args:
        examples: files, or members of archives.

    Returns:
        Parts joined by ``/``, none of which leads upwards.
    """
    places = [_parts(named) for named in examples]
    shared = len(_shared(places))
    return ["/".join(map(_clean, place[shared:])) for place in places]


def common_folder(examples: Sequence[Named]) -> str:
    """The folder or archive that :func:`relative_names` starts from."""
    return "/".join(_shared([_parts(named) for named in examples]))


def png_names(names: Sequence[str], reserved: Iterable[str] = ()) -> list[str]:
    """A file for each picture: its name with another ending.

    Where that is taken by an earlier picture (``a.jpg`` and ``a.png``), also for a file system that
    does not tell ``A`` from ``a``, the picture's own ending stays inside (``a.png.png``), and then
    there is a number. An earlier picture's name does not depend on later ones.

    Args:
        names: of :func:`relative_names`.
        reserved: names that are not for pictures.

    Returns:
        Relative paths. A folder that ends like a file gets a ``_``, so that no file is in its way.
    """
    taken = {_alike(name) for name in reserved}
    found = []
    for name in names:
        path = PurePosixPath(name)
        folder = PurePosixPath(*(_folder(part) for part in path.parts[:-1]))
        tried = [path.stem, path.name]
        number = 1
        while _alike(str(folder / _file(tried[0]))) in taken:
            tried.pop(0)
            if not tried:
                number += 1
                tried = [f"{_cut(path.name, _MOST_BYTES - 20)} ({number})"]
        found.append(str(folder / _file(tried[0])))
        taken.add(_alike(found[-1]))
    return found


def _parts(named: Named) -> list[str]:
    """The folders on the way to a picture, the archive among them, and its name."""
    inside = named.member.replace("\\", "/").split("/") if named.member else []
    return [
        part for part in (*Path(os.path.abspath(named.path)).parts, *inside)  # noqa: PTH100 (no links)
        if part not in _NOT_KEPT
    ]  # fmt: skip


def _shared(places: Sequence[Sequence[str]]) -> list[str]:
    """The folders that all have in common."""
    levels = zip(*(place[:-1] for place in places), strict=False)
    return [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]


def _clean(part: str) -> str:
    """A part of a name that every file system takes, and that leads nowhere."""
    shown = printable(part)
    return "".join("_" if c in '\\/:*?"<>|' or not c.isprintable() else c for c in shown)


def _folder(part: str) -> str:
    cut = _cut(part)
    return f"{cut}_" if cut.lower().endswith(SUFFIX) else cut


def _file(stem: str) -> str:
    return f"{_cut(stem)}{SUFFIX}"


def _cut(part: str, most: int = _MOST_BYTES) -> str:
    return part.encode()[:most].decode(errors="ignore")


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
