"""Data sets of torchvision by name: from files that are there, else by torchvision's download."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

from sftcore.data.sources.files import Tree
from sftcore.data.sources.idx_files import IDX_SETS, find_idx, read_idx, sets_named
from sftcore.data.sources.items import Item, Layout
from sftcore.data.sources.registry import register_source
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

_GIVEN = {"train": "", "test": "test"}  # splits by half
_FOLDERS = {"cifar-10-batches-py": "CIFAR10", "cifar-100-python": "CIFAR100"}


def _recognise(tree: Tree, _: str) -> str:
    """The data set's name."""
    for folder, name in _FOLDERS.items():
        if not tree.is_archive and folder in tree.folders:
            return name
    if not (found := find_idx(tree)):
        return ""
    parts = [part for name in found.values() for part in name.split("/")]
    named = sets_named([*tree.path.parts, *parts])
    if len(named) != 1:
        ways = "".join(f"\n  data.source: torchvision:{name}" for name in IDX_SETS)
        raise DataError(
            f"{tree.shown()} holds the IDX files of one of several data sets, and nothing in them "
            f"says which; say it:{ways}"
        )
    return named[0]


@register_source("torchvision", _recognise)
def read_torchvision(tree: Tree, name: str) -> Layout:
    """A classification data set of ``torchvision.datasets``.

    Its test half is the test split; validation is taken from its training half.

    Raises:
        DataError: no such data set, or its files are not there and cannot be downloaded.
    """
    from torchvision import datasets

    if name not in datasets.__all__:
        near = get_close_matches(name, datasets.__all__, n=3)
        raise DataError(
            f"data.source: torchvision has no data set {name!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    what = f"torchvision.datasets.{name}"
    files = find_idx(tree) if name in IDX_SETS else {}
    if files:
        return Layout(what, _idx_items(tree, files, getattr(datasets, name).classes))
    halves = {
        half: _open_torchvision(getattr(datasets, name), tree.path, half)
        for half in ("train", "test")
    }
    items = [
        Item(f"{half}/{index:06d}", label, _picture_reader(data, index), _GIVEN[half])
        for half, data in halves.items()
        for index, label in enumerate(_torchvision_labels(data, name))
    ]
    return Layout(what, items)


def _idx_items(tree: Tree, files: dict[tuple[str, str], str], classes: Sequence[str]) -> list[Item]:
    items: list[Item] = []
    for half in ("train", "test"):
        labels = read_idx(tree, files[half, "labels"], 1)
        pictures = read_idx(tree, files[half, "images"], 3)
        if len(labels) != len(pictures) or labels.max(initial=0) >= len(classes):
            raise DataError(
                f"{printable(files[half, 'images'])} and {printable(files[half, 'labels'])} do not "
                "belong together: download both again"
            )
        items += [
            Item(f"{half}/{index:06d}", classes[label], _png_reader(picture), _GIVEN[half])
            for index, (label, picture) in enumerate(zip(labels, pictures, strict=True))
        ]
    return items


def _png_reader(picture: Any) -> Callable[[], bytes]:
    """A grey picture as the bytes of a PNG file."""
    from PIL import Image

    return lambda: _png(Image.fromarray(picture))


def _png(image: Any) -> bytes:
    file = BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _torchvision_labels(data: Any, name: str) -> list[str]:
    """The class name of every picture."""
    try:
        targets = getattr(data, "targets", None)
        if targets is None:
            targets = [data[index][1] for index in range(len(data))]
        return [str(data.classes[int(target)]) for target in targets]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"data.source: torchvision.datasets.{name} does not name one class per picture; use "
            "the source folder or table"
        ) from error


def _open_torchvision(dataset: Any, path: Path, half: str) -> Any:
    """One half of a data set, downloaded only if its files are not there."""
    import inspect

    accepted = inspect.signature(dataset).parameters
    which = {"train": half == "train"} if "train" in accepted else {"split": half}
    try:
        return dataset(path, download=False, **which)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"data.source: torchvision.datasets.{dataset.__name__} has no train and test half; "
            "use the source folder or table"
        ) from error
    except RuntimeError:
        try:
            return dataset(path, download=True, **which)
        except Exception as error:
            raise DataError(
                f"torchvision could not download {dataset.__name__} into {path}: {error}. Without "
                "a network, put its files there beforehand"
            ) from error


def _picture_reader(data: Any, index: int) -> Callable[[], bytes]:
    """A picture of a torchvision data set as the bytes of a PNG file."""
    return lambda: _png(data[index][0])
