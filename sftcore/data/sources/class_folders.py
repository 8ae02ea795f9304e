"""Class folders: every file below ``<class>/`` that may be a picture is one of that class."""

from collections import Counter

from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import is_picture_name, other_kind, split_of
from sftcore.data.sources.registry import register_source
from sftcore.foundations.errors import DataError


def holds_pictures(tree: Tree) -> list[str]:
    """Folders directly below the base with at least one file that may be a picture."""
    return sorted(
        {name.partition("/")[0] for name in tree.names() if "/" in name and not other_kind(name)}
    )


def _recognise(tree: Tree, _: str) -> str:
    folders = holds_pictures(tree)
    if len(folders) < 2 or all(split_of(name) for name in folders):
        return ""
    return f"folders {listed(folders, 3)}"


@register_source("folder", _recognise)
def read_folder(tree: Tree, _: str) -> Layout:
    """Every file below ``<class>/`` is a picture of that class.

    Hidden files and folders, and files beside the class folders, are left out. So are files that
    are no pictures by their name, which are counted.

    Raises:
        DataError: a class folder is empty.
    """
    items, others = pictures_of_folders(tree, "")
    beside = [name for name in tree.top_files() if is_picture_name(name)]
    notes: tuple[str, ...] = ()
    if beside:
        notes = (f"{counted(len(beside), 'picture')} beside the class folders left out",)
    return Layout("class folders", items, notes, others, not tree.is_archive)


def pictures_of_folders(tree: Tree, split: str) -> tuple[list[Item], Counter[str]]:
    """The pictures of the class folders below the base, and what is no picture by its name.

    Args:
        tree: seen from the folder that holds the class folders.
        split: of all of them.

    Raises:
        DataError: a class folder is empty.
    """
    items, others, filled = [], Counter[str](), set()
    for name in tree.names():
        label, separator, _ = name.partition("/")
        if not separator:
            continue
        filled.add(label)
        if kind := other_kind(name):
            others[kind] += 1
        else:
            items.append(tree.item(name, label, split))
    if empty := [name for name in tree.top_folders() if name not in filled]:
        raise DataError(
            f"{tree.shown()}: no picture in the class folder{'s' * (len(empty) > 1)} "
            f"{listed(empty)}. Add pictures or remove the folder"
        )
    return items, others
