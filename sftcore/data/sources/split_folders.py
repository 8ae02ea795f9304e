"""Split folders: ``train/<class>/``, ``val/<class>/``, ``test/<class>/``, under the usual names."""

from collections import Counter

from sftcore.data.sources.class_folders import holds_pictures, pictures_of_folders
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import is_picture_name, split_of
from sftcore.data.sources.registry import register_source
from sftcore.foundations.errors import DataError


def split_folders(tree: Tree) -> list[str]:
    """Folders directly below the base that are named as splits."""
    return [name for name in tree.top_folders() if split_of(name)]


def _has_classes(tree: Tree, folder: str) -> bool:
    return bool(holds_pictures(tree.at(folder)))


def _recognise(tree: Tree, _: str) -> str:
    splits = split_folders(tree)
    named = [name for name in splits if _has_classes(tree, name)]
    alone = set(holds_pictures(tree)) <= set(splits)
    if not any(split_of(name) == "train" for name in named) or not (alone or len(splits) > 1):
        return ""
    return f"folders {listed(named)} with class folders in each"


@register_source("splits", _recognise)
def read_splits(tree: Tree, _: str) -> Layout:
    """Class folders inside folders named as splits; other folders are left out.

    A split other than train whose pictures lie in no class folder is left out, and said to be:
    test sets are often handed out without their classes.

    Raises:
        DataError: no split folder, no training split, or an empty class folder.
    """
    named = split_folders(tree)
    if "train" not in {split_of(name) for name in named if _has_classes(tree, name)}:
        raise DataError(
            f"{tree.shown()}: no folder train with class folders in it. Layout: "
            f"{tree.shown('train/<class>/<picture>')}"
        )
    items: list[Item] = []
    others, notes, used = Counter[str](), [], []
    for name in named:
        inside = tree.at(name)
        loose = [file for file in inside.top_files() if is_picture_name(file)]
        if loose:
            notes.append(f"{counted(len(loose), 'picture')} without a class in {name} left out")
        if not _has_classes(tree, name):
            continue
        found, beside = pictures_of_folders(inside, split_of(name))
        items += found
        others += beside
        used.append(name)
    if unused := [name for name in tree.top_folders() if name not in named]:
        notes.append(f"{counted(len(unused), 'folder')} beside the splits left out")
    what = f"splits {listed(used)} with class folders in each"
    return Layout(what, items, tuple(notes), others, not tree.is_archive)
