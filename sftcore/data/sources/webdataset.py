"""WebDataset: files of one name but different suffixes are one sample, in numbered tar shards."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sftcore.data.kinds import Refused
from sftcore.data.sources.archives import archive_tree
from sftcore.data.sources.class_folders import filled_folders
from sftcore.data.sources.columns import LABEL_NAMES, LABELS
from sftcore.data.sources.files import Reader, Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import is_example_name, other_kind, split_of_file
from sftcore.data.sources.registry import register_source
from sftcore.data.sources.streams import LastOpened
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

_SHARD = re.compile(r"\d{3,}\.tar(\.gz)?$")
_ANY_TAR = re.compile(r"\.(tar|tar\.gz|tgz)$")
_SHARD_OF = re.compile(r"(.*?\.(?:tar\.gz|tar|tgz))/")
_LABEL_SUFFIXES = ("cls", "json", "txt")  # the first that a sample has is its label
_NAME_FILES = ("classnames.txt", "classes.txt", "labels.txt")  # of class numbers, a name a line
_MAX_LABEL_BYTES = 1 << 20


def _split_name(name: str) -> tuple[str, str]:
    """A sample's key and the suffix: what stands before and after the first dot of the file."""
    folder, slash, file = name.rpartition("/")
    key, _, suffix = file.partition(".")
    return folder + slash + key, suffix.lower()


def _samples(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Names by key and suffix."""
    samples: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        key, suffix = _split_name(name)
        samples[key][suffix] = name
    return samples


def _has_label_files(tree: Tree) -> bool:
    samples = _samples(tree.names())
    pictures = [s for s in samples.values() if any(is_example_name(n) for n in s.values())]
    # Notes beside pictures in class folders are common; only .cls cannot be anything else.
    suffixes = ("cls",) if len(filled_folders(tree)) > 1 else _LABEL_SUFFIXES
    labelled = sum(any(suffix in sample for suffix in suffixes) for sample in pictures)
    return bool(pictures) and 2 * labelled >= len(pictures)


def _recognise(tree: Tree, _: str) -> str:
    shards = [] if tree.is_archive else [name for name in tree.names() if _SHARD.search(name)]
    if shards:
        return f"{counted(len(shards), 'WebDataset shard')} such as {printable(shards[0])}"
    return "pictures with label files of the same name" if _has_label_files(tree) else ""


@register_source("webdataset", _recognise)
def read_webdataset(tree: Tree, _: str) -> Layout:
    """Pictures with ``.cls``, ``.json`` or ``.txt`` of the same name, in shards or as they are.

    Splits come from the names of the shards or of their folders.

    Raises:
        DataError: a picture has no label, or a sample has several pictures.
    """
    shards = [] if tree.is_archive else [name for name in tree.names() if _ANY_TAR.search(name)]
    what = "pictures with label files of the same name"
    inside = tree
    if shards:
        what = f"{counted(len(shards), 'WebDataset shard')} such as {printable(shards[0])}"
        inside = _joined(tree, shards)
    items, others = _read_samples(inside, _class_names(tree), bool(shards))
    return Layout(what, items, (), others, not (tree.is_archive or shards))


def _joined(tree: Tree, shards: Sequence[str]) -> Tree:
    """The members of all shards, each below its shard's name."""
    files: dict[str, Reader] = {}
    positions: dict[str, int] = {}
    opened = LastOpened()
    for shard in shards:
        inside = archive_tree(tree.path, tree.path / (tree.base + shard), opened)
        before = len(positions)
        for name, reader in inside.files.items():
            files[f"{tree.base}{shard}/{name}"] = reader
            positions[f"{tree.base}{shard}/{name}"] = before + inside.positions[name]
    return Tree(tree.path, files, frozenset(), tree.base, True, positions)


def _read_samples(
    tree: Tree, class_names: Sequence[str], is_sharded: bool
) -> tuple[list[Item], Counter[str]]:
    others = Counter[str]()
    found: list[tuple[str, str]] = []  # picture and label file
    bare: list[str] = []
    for sample in _samples(tree.names()).values():
        pictures = [name for suffix, name in sample.items() if not _is_beside(suffix)]
        beside = [suffix for suffix in sample if _is_beside(suffix)]
        label = next((suffix for suffix in _LABEL_SUFFIXES if suffix in sample), "")
        if len(pictures) > 1:
            raise DataError(
                f"{tree.shown()}: {listed(pictures)} are several pictures of one sample; keep one"
            )
        if pictures and label:
            found.append((pictures[0], sample[label]))
        elif pictures:
            bare += pictures
        else:
            others.update(f".{suffix}" for suffix in beside)
    if bare:
        raise DataError(
            f"{tree.shown()}: {counted(len(bare), 'picture')} without a label file (.cls, .json or "
            f".txt of the same name): {listed(sorted(bare))}"
        )
    # Labels are read in the order of the archive, which a compressed one needs.
    found.sort(key=lambda pair: tree.positions.get(tree.base + pair[1], 0))
    items = []
    for picture, label_file in found:
        label = _label(tree, label_file)
        if class_names and label.isdecimal() and int(label) < len(class_names):
            label = class_names[int(label)]
        shard = _SHARD_OF.match(picture) if is_sharded else None
        items.append(tree.item(picture, label, split_of_file(shard[1]) if shard else ""))
    return items, others


def _is_beside(suffix: str) -> bool:
    return bool(other_kind(f"x.{suffix}")) if suffix else True


def _label(tree: Tree, name: str) -> str:
    """The class that a label file names.

    Raises:
        DataError: it cannot be read, or names none.
    """
    try:
        content = tree.reader(name)()
        if len(content) > _MAX_LABEL_BYTES:
            raise ValueError("larger than a label can be")
        text = content.decode("utf-8").strip()
        label = _json_label(json.loads(text)) if name.lower().endswith(".json") else text
    except (Refused, ValueError, RecursionError) as error:
        raise DataError(f"{tree.shown(name)} cannot be read as a label: {error}") from error
    if not label or "\n" in label:
        raise DataError(f"{tree.shown(name)} names no class")
    return label


def _json_label(value: Any) -> str:
    if isinstance(value, Mapping):
        keys = [key for key in (*LABEL_NAMES, *LABELS, "cls") if key in value]
        value = value[keys[0]] if keys else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _class_names(tree: Tree) -> list[str]:
    """Names of class numbers, where a file beside the shards lists them."""
    for name in _NAME_FILES:
        if name in tree.top_files():
            with tree.open(name) as file:
                return file.read().decode("utf-8", "replace").split("\n")
    return []
