"""Class folders: every file below ``<class>/`` that may be an example is one of that class."""

from collections import Counter
from collections.abc import Sequence

from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import is_example_name, other_kind, split_of
from sftcore.data.sources.registry import register_source
from sftcore.foundations.errors import DataError


def filled_folders(tree: Tree) -> list[str]:
    """Folders directly below the base with at least one file that may be an example."""
    names = tree.sought.names
    inside = (name for name in tree.names() if "/" in name)
    return sorted({name.partition("/")[0] for name in inside if not other_kind(name, names)})


def _recognise(tree: Tree, _: str) -> str:
    folders = filled_folders(tree)
    if len(folders) < 2 or all(split_of(name) for name in folders):
        return ""
    return f"folders {listed(folders, 3)}"


@register_source("folder", _recognise, is_any_kind=True)
def read_folder(tree: Tree, _: str) -> Layout:
    """Every file below ``<class>/`` is an example of that class.

    Hidden files and folders are left out. So are files beside the class folders, which is said, and
    files that are no examples by their name, which are counted.

    Raises:
        DataError: a class folder is empty.
    """
    items, others = examples_of_folders(tree, "")
    notes = tuple(left_out(tree, tree.top_files(), "beside the class folders"))
    return Layout("class folders", items, notes, others, not tree.is_archive)


def left_out(tree: Tree, files: Sequence[str], where: str) -> list[str]:
    """What to say of files that nothing is made of, in a clause for each sort.

    Args:
        tree: that holds them.
        files: their names.
        where: they lie, or why they are left out.
    """
    names = tree.sought.names
    own = {name for name in files if is_example_name(name, names)}
    others = Counter(other_kind(name, names) or name for name in files if name not in own)
    clauses = [f"{counted(len(own), names.noun)} {where} left out"] if own else []
    if others:
        kinds = listed([name for name, _ in sorted(others.items())], 3)
        what = "other file" if own else "file"
        clauses.append(f"{counted(others.total(), what)} {where} left out ({kinds})")
    return clauses


def examples_of_folders(tree: Tree, split: str) -> tuple[list[Item], Counter[str]]:
    """The examples of the class folders below the base, and what is none by its name.

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
        if kind := other_kind(name, tree.sought.names):
            others[kind] += 1
        else:
            items.append(tree.item(name, label, split))
    if empty := [name for name in tree.top_folders() if name not in filled]:
        raise DataError(
            f"{tree.shown()}: no {tree.sought.noun} in the class folder{'s' * (len(empty) > 1)} "
            f"{listed(empty)}. Add {tree.sought.names.plural} or remove the folder"
        )
    return items, others
