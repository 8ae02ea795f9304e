"""The check stage: find what would fail later before any earlier output is touched."""

from pathlib import Path

from sftcore.data.sources import read_source
from sftcore.foundations.artifacts import write_json
from sftcore.pipeline.paths import CHECK_REPORT
from sftcore.settings.sections import Params


def check(params: Params) -> None:
    """Look at the data's layout; the parameters were checked when they were read.

    DVC removes a stage's outputs before it runs the stage. This stage comes first and its output
    never changes, so a fault found here leaves every other output where it is.

    Raises:
        DataError: the folder is missing, a class is empty, or there is only one.
    """
    if not params.data.source.startswith("torchvision:"):  # its files may yet have to be downloaded
        read_source(params.data.source, Path(params.data.path), params.data.table)
    write_json(CHECK_REPORT, {"parameters": "valid", "data": "found"})
