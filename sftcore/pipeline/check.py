"""The check stage: find what would fail later before any earlier output is touched."""

from pathlib import Path

from sftcore.data.sources import check_fit, open_source
from sftcore.foundations.artifacts import write_json
from sftcore.pipeline.examples import examples_of
from sftcore.pipeline.paths import CHECK_REPORT
from sftcore.settings.tree import Params


def check(params: Params) -> None:
    """Say what the data's layout is; the parameters were checked when they were read.

    DVC removes a stage's outputs before it runs the stage. This stage comes first and its output
    never changes, so a fault found here leaves every other output where it is.

    Raises:
        DataError: nothing is there, or the layout cannot be read, or in several ways, or it cannot
            hold what the task learns from.
    """
    data = params.data
    sought = examples_of(params.task, data).sought
    if data.source.startswith("torchvision:"):  # its files may yet have to be downloaded
        check_fit("torchvision", sought)
    else:
        contents = open_source(data.source, Path(data.path), data.table, sought)
        print("\n".join(contents.lines()))
    write_json(CHECK_REPORT, {"parameters": "valid", "data": "found"})
