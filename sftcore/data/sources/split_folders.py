"""Split folders: ``train/<class>/``, ``val/<class>/``, ``test/<class>/``, under the usual names."""

from collections import Counter

from sftcore.data.sources.class_folders import examples_of_folders, filled_folders, left_out
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import split_of
from sftcore.data.sources.registry import register_source
from sftcore.foundations.errors import DataError


def split_folders(tree: Tree) -> list[str]:
    """Folders directly below the base that are named as splits."""
    return [name for name in tree.top_folders() if split_of(name)]


def _has_classes(tree: Tree, folder: str) -> bool:
    return bool(filled_folders(tree.at(folder)))


def _recognise(tree: Tree, _: str) -> str:
    splits = split_folders(tree)
    named = [name for name in splits if _has_classes(tree, name)]
    alone = set(filled_folders(tree)) <= set(splits)
    if not any(split_of(name) == "train" for name in named) or not (alone or len(splits) > 1):
        return ""
    return f"folders {listed(named)} with class folders in each"


@register_source("splits", _recognise, is_any_kind=True)
def read_splits(tree: Tree, _: str) -> Layout:
    """Class folders inside folders named as splits; what lies beside is left out, and said to be.

    So is a split other than train whose examples lie in no class folder: test sets are often handed
    out without their classes.

    Raises:
        DataError: no split folder, no training split, or an empty class folder.
    """
    named = split_folders(tree)
    if "train" not in {split_of(name) for name in named if _has_classes(tree, name)}:
        raise DataError(
            f"{tree.shown()}: no folder train with class folders in it. Layout: "
            f"{tree.shown(f'train/<class>/<{tree.sought.noun}>')}"
        )
    items: list[Item] = []
    others, notes, used = Counter[str](), [], []
    for name in named:
        inside = tree.at(name)
        notes += left_out(inside, inside.top_files(), f"without a class in {name}")
        if not _has_classes(tree, name):
            continue
        found, beside = examples_of_folders(inside, split_of(name))
        items += found
        others += beside
        used.append(name)
    notes += left_out(tree, tree.top_files(), "beside the splits")
    if unused := [name for name in tree.top_folders() if name not in named]:
        notes.append(f"{counted(len(unused), 'folder')} beside the splits left out")
    what = f"splits {listed(used)} with class folders in each"
    return Layout(what, items, tuple(notes), others, not tree.is_archive)
