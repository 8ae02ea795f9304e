"""Data sets as the Hugging Face tools lay them out, read without those tools.

Pictures with a ``metadata`` table beside them; pictures or texts in data sets saved with
``save_to_disk``, and in the Parquet files that the hub hands out.
"""

import json
import re

from sftcore.data.sources.columns import MissingColumn
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Layout, counted, listed
from sftcore.data.sources.names import split_of_file
from sftcore.data.sources.registry import register_source
from sftcore.data.sources.rows import read_rows
from sftcore.data.sources.tables import read_tables
from sftcore.foundations.errors import DataError

_SHARD = re.compile(r"-\d{5}-of-\d{5}\.parquet$")
_METADATA = re.compile(r"(^|/)metadata\.(csv|jsonl|parquet)$")


def _metadata(tree: Tree) -> list[str]:
    """Metadata tables that give labels: without, the folders' names are the classes."""
    found = []
    for name in (name for name in tree.names() if _METADATA.search(name)):
        try:
            read_rows(tree, name)
        except MissingColumn:  # it tells something else of the pictures
            continue
        found.append(name)
    return found


def _is_image_folder(tree: Tree, _: str) -> str:
    found = _metadata(tree)
    return f"pictures with {listed(found)} beside them" if found else ""


@register_source("imagefolder", _is_image_folder, is_table=True)
def read_image_folder(tree: Tree, _: str) -> Layout:
    """Pictures with a table ``metadata.csv``, ``.jsonl`` or ``.parquet`` in their folder.

    Raises:
        DataError: there is no such table with labels.
    """
    if not (found := _metadata(tree)):
        raise DataError(
            f"{tree.shown()}: no metadata.csv, metadata.jsonl or metadata.parquet with the columns "
            "file_name and label. Without labels in a table use class folders and "
            "data.source: folder or splits"
        )
    what = f"pictures with {listed(found)} beside them"
    return read_tables(tree, found, what, split_of_file if len(found) > 1 else None)


def _shards(tree: Tree) -> list[str]:
    return [name for name in tree.names() if _SHARD.search(name)]


def _is_parquet(tree: Tree, _: str) -> str:
    found = _shards(tree)
    return f"{counted(len(found), 'Parquet shard')} such as {found[0]}" if found else ""


@register_source("parquet", _is_parquet, is_any_kind=True, is_table=True)
def read_parquet_shards(tree: Tree, _: str) -> Layout:
    """Parquet files named as the hub names them, or all Parquet files; splits by their names.

    Raises:
        DataError: there is none, or they lie in several folders, which are several data sets.
    """
    found = _shards(tree) or [name for name in tree.names() if name.lower().endswith(".parquet")]
    if not found:
        raise DataError(f"{tree.shown()}: no Parquet file")
    folders = sorted({name.rpartition("/")[0] for name in found})
    if len(folders) > 1 and not all(split_of_file(f"{folder}/x") for folder in folders):
        raise DataError(
            f"{tree.shown()} holds Parquet files in the folders {listed(folders)}, which are "
            "several versions of a data set: set data.path to one of them"
        )
    what = f"{counted(len(found), 'Parquet shard')} such as {found[0]}"
    return read_tables(tree, found, what, split_of_file)


def _saved(tree: Tree) -> list[str]:
    """Folders of saved splits, or one empty name where the base is a single one."""
    names = set(tree.names())
    if "dataset_dict.json" in names:
        return [name for name in tree.top_folders() if f"{name}/state.json" in names]
    return [""] if {"state.json", "dataset_info.json"} <= names else []


def _is_saved(tree: Tree, _: str) -> str:
    return "a data set saved with save_to_disk" if _saved(tree) else ""


@register_source("saved", _is_saved, is_any_kind=True, is_table=True)
def read_saved(tree: Tree, _: str) -> Layout:
    """A data set, or several splits of it, saved with ``datasets.save_to_disk``.

    Raises:
        DataError: it is none, or holds only a choice of its rows.
    """
    folders = _saved(tree)
    if not folders:
        raise DataError(f"{tree.shown()}: no data set saved with save_to_disk")
    files: list[str] = []
    for folder in folders:
        before = f"{folder}/" if folder else ""
        files += [before + name for name in _data_files(tree, f"{before}state.json")]
    what = "a data set saved with save_to_disk"
    return read_tables(tree, files, what, split_of_file if folders != [""] else None)


def _data_files(tree: Tree, name: str) -> list[str]:
    try:
        with tree.open(name) as file:
            state = json.load(file)
        files = [str(entry["filename"]) for entry in state["_data_files"]]
        chosen = state.get("_indices_data_files") or state.get("_indices_files")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{tree.shown(name)} is not what save_to_disk writes: {error}") from error
    if chosen:
        raise DataError(
            f"{tree.shown(name)}: a choice of rows was saved; call flatten_indices() before "
            "save_to_disk"
        )
    folder = name.rpartition("/")[0]
    there = set(tree.names())
    if missing := [f for f in files if f"{folder}/{f}".lstrip("/") not in there]:
        raise DataError(f"{tree.shown(folder)} lacks {listed(missing)}: copy it again, whole")
    return files
