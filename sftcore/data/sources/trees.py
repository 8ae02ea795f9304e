"""Which files ``data.path`` stands for: a folder, an archive, a table, one archive in a folder."""

from dataclasses import replace
from pathlib import Path

from sftcore.data.kinds import Names
from sftcore.data.sources.archives import ARCHIVE_SUFFIXES, archive_tree, is_archive
from sftcore.data.sources.files import Tree, file_reader, folder_tree
from sftcore.data.sources.items import listed
from sftcore.data.sources.names import is_example_name, other_kind
from sftcore.data.sources.sought import PICTURES_WITH_CLASSES, Sought
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow")


def open_tree(path: Path, *, is_searching: bool, sought: Sought = PICTURES_WITH_CLASSES) -> Tree:
    """The files below a path; archives are looked into.

    Args:
        path: ``data.path``.
        is_searching: whether a folder that holds all in one folder is looked into.
        sought: what is looked for.

    Raises:
        DataError: nothing is there, or a file of a kind that is not known.
    """
    if path.is_file():
        tree = _file_tree(path)
    elif path.is_dir():
        tree = folder_tree(path)
        packed = [name for name in tree.files if "/" not in name and is_archive(name)]
        if len(packed) == 1 and not any(is_example_name(name, sought.names) for name in tree.files):
            tree = archive_tree(path, path / packed[0])
    else:
        raise DataError(
            f"data.path: there is no folder {printable(str(path))!r}. Put the "
            f"{sought.names.plural} in {path}/<class>/, or set data.path to where they are"
        )
    tree = replace(tree, sought=sought)
    return _unwrapped(tree) if is_searching or tree.is_archive else tree


def _file_tree(path: Path) -> Tree:
    if is_archive(path.name):
        return archive_tree(path, path)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return Tree(
            path.parent, {path.name: file_reader(path.parent, path)}, frozenset(), is_single=True
        )
    raise DataError(
        f"data.path: {printable(str(path))} is a file of no known kind. Known are archives "
        f"({', '.join(ARCHIVE_SUFFIXES)}) and tables ({', '.join(TABLE_SUFFIXES)})"
    )


def _unwrapped(tree: Tree) -> Tree:
    """Seen from inside of folders that hold everything: archives often bring one."""
    while len(folders := tree.top_folders()) == 1 and not any(
        _is_data(name, tree.sought.names) for name in tree.top_files()
    ):
        inside = tree.at(folders[0])
        if not inside.top_folders():
            break
        tree = inside
    return tree


def _is_data(name: str, names: Names) -> bool:
    """Whether a file may belong to the data, rather than explain them."""
    return (
        is_archive(name)
        or name.lower().endswith((*TABLE_SUFFIXES, ".json"))
        or (not other_kind(name, names))
    )


def several_archives(tree: Tree) -> str:
    """What to do about several archives in a folder; empty where there are not several."""
    packed = [name for name in tree.top_files() if is_archive(name)]
    if tree.is_archive or len(packed) < 2:
        return ""
    return f"{tree.shown()} holds the archives {listed(packed)}: name one of them in data.path"
