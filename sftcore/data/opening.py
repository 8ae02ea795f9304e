"""From the settings of a source to its examples, whether names, tables or annotations tell of them.

No example is opened here.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sftcore.data.annotations.formats import Wanted, open_annotations
from sftcore.data.annotations.values import AnnotationSet
from sftcore.data.pictures.annotated import with_background
from sftcore.data.sources import Contents, Sought, open_source
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Layout, counted, listed
from sftcore.data.sources.opening import complete_splits
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

_GROUP_COLUMNS = ["path", "group"]


@dataclass(frozen=True)
class AnnotatedContents(Contents):
    """Pictures of which files of annotations tell; ``columns`` are the classes.

    Attributes:
        found: what the files say.
    """

    found: AnnotationSet | None = None


def open_examples(source: str, path: Path, table: str, sought: Sought) -> Contents:
    """Look at a source; see :func:`sftcore.data.sources.open_source` for what is not annotated.

    Args:
        source: ``auto``, or a kind by name.
        path: folder of the data, or an archive.
        table: file inside it. Of annotated pictures it may name groups: columns path and group.
        sought: which kind of examples, with which targets.

    Raises:
        DataError: nothing is there, or it cannot be read as what is looked for.
    """
    if not sought.target.is_annotated:
        return open_source(source, path, table, sought)
    settings, has_masks = sought.target.annotations, sought.target.kind == "masks"
    wanted: Wanted = "masks" if has_masks else "boxes"
    found = open_annotations(path, wanted, settings.format, voc_pixels=settings.voc_pixels)
    classes, notes = _classes(found, has_masks)
    groups = _groups(found.tree, table)
    items = [
        found.tree.item(entry.picture, "", entry.split, groups.get(entry.picture, ""))
        for entry in found.entries
    ]
    if not items:
        raise DataError(f"{found.tree.shown()} holds no {sought.noun} with annotations")
    what = f"annotations of the format {found.format}"
    layout = complete_splits(Layout(what, items, (*found.notes, *notes)), path, sought)
    if groups:
        num_groups = len({item.group for item in layout.items if item.group})
        layout = replace(layout, notes=(*layout.notes, f"{num_groups} groups from {table}"))
    numbers = f"{counted(len(classes), 'class')}, {counted(len(items), sought.noun)}"
    return AnnotatedContents(
        sorted(layout.items, key=lambda item: item.id),
        "; ".join([f"{printable(str(path))}: {what} ({numbers})", *layout.notes]),
        {},
        ids_are_files=True,
        columns=classes,
        plural=sought.names.plural,
        found=found,
    )


def _classes(found: AnnotationSet, has_masks: bool) -> tuple[tuple[str, ...], list[str]]:
    """Names in the order of outputs, and what is to be known of others.

    Files of objects list classes that nothing is annotated with (groups of classes, say); masks
    are not opened before they are judged.
    """
    if any(entry.mask for entry in found.entries):
        return found.classes, []
    used = {mark.name for entry in found.entries for mark in entry.marks}
    kept = tuple(name for name in found.classes if name in used)
    unused = [name for name in found.classes if name not in used]
    notes = [f"classes without any annotation are left out: {listed(unused)}"] if unused else []
    return (with_background(kept) if has_masks else kept), notes


def _groups(tree: Tree, table: str) -> dict[str, str]:
    """Group by path of the picture, where a table beside the pictures names groups.

    Raises:
        DataError: the table cannot be read, or a picture stands in it twice.
    """
    if table not in tree.names():
        return {}
    try:
        with tree.open(table) as stream:
            rows = pd.read_csv(stream, dtype="str", na_filter=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{tree.shown(table)} is no table: {printable(str(error))}") from error
    if not set(_GROUP_COLUMNS) <= set(rows.columns):
        return {}
    paths = rows["path"].tolist()
    twice = sorted({path for path in paths if paths.count(path) > 1}) if _has_copies(paths) else []
    if twice:
        raise DataError(f"{tree.shown(table)} names pictures twice: {listed(twice)}")
    return dict(zip(paths, rows["group"], strict=True))


def _has_copies(names: list[str]) -> bool:
    return len(set(names)) < len(names)
