"""Where examples come from: one file per kind of source, one registry."""

# Each import registers its kinds.
from sftcore.data.sources import (
    class_folders,
    huggingface,
    split_folders,
    tables,
    torchvision_sets,
    webdataset,
)
from sftcore.data.sources.items import Item, reading_order
from sftcore.data.sources.opening import Contents, check_fit, open_source, others_line, read_source
from sftcore.data.sources.registry import SOURCES, register_source
from sftcore.data.sources.sought import KIND_NAMES, PICTURES_WITH_CLASSES, Sought

__all__ = [
    "KIND_NAMES",
    "PICTURES_WITH_CLASSES",
    "SOURCES",
    "Contents",
    "Item",
    "Sought",
    "check_fit",
    "class_folders",
    "huggingface",
    "open_source",
    "others_line",
    "read_source",
    "reading_order",
    "register_source",
    "split_folders",
    "tables",
    "torchvision_sets",
    "webdataset",
]
