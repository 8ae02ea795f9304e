"""The check stage: find what would fail later before any earlier output is touched."""

from pathlib import Path

from sftcore.data.sources import open_source
from sftcore.foundations.artifacts import write_json
from sftcore.pipeline.paths import CHECK_REPORT
from sftcore.settings.tree import Params


def check(params: Params) -> None:
    """Say what the data's layout is; the parameters were checked when they were read.

    DVC removes a stage's outputs before it runs the stage. This stage comes first and its output
    never changes, so a fault found here leaves every other output where it is.

    Raises:
        DataError: nothing is there, or the layout cannot be read, or in several ways.
    """
    if not params.data.source.startswith("torchvision:"):  # its files may yet have to be downloaded
        contents = open_source(params.data.source, Path(params.data.path), params.data.table)
        print("\n".join(contents.lines()))
    write_json(CHECK_REPORT, {"parameters": "valid", "data": "found"})
