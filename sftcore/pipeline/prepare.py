"""The prepare stage: prepare the examples, show what they are, say what they can show."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import pandas as pd

from sftcore.data.kinds import Kind, Refused
from sftcore.data.opening import open_examples
from sftcore.data.pictures.decode import decode_square
from sftcore.data.pictures.kind import PictureKind
from sftcore.data.prepare import ANNOTATIONS_FILE, prepare
from sftcore.data.settings import DataSettings
from sftcore.data.sources import Sought
from sftcore.data.store import SAMPLES_FILE, open_store
from sftcore.foundations.settings import one_of
from sftcore.inspection.choice import refused_to_show
from sftcore.inspection.data_report import terminal_lines, write_data_report
from sftcore.inspection.examples.pictures import MOST_REFUSED, RefusedPicture
from sftcore.inspection.overview import overview_sentences
from sftcore.inspection.targets.contract import Prepared
from sftcore.pipeline.examples import examples_of
from sftcore.pipeline.paths import PREPARE_REPORT, PREPARED
from sftcore.settings.reading import Sections
from sftcore.tasks.names import LEARNT

_WIDTH = 96  # columns of a terminal


class PrepareParams(Sections):
    """What the stage reads."""

    task: Annotated[str, one_of(lambda: LEARNT)] = "classification"
    data: DataSettings = DataSettings()


def prepare_and_show(params: PrepareParams) -> list[str]:
    """Write ``data/prepared`` and ``reports/prepare``.

    Args:
        params: the task, and the section data.

    Returns:
        Lines that say what the data are.

    Raises:
        DataError: the source cannot be used, or a limit is passed.
        OutputError: the output does not fit on the disk.
    """
    data = params.data
    examples = examples_of(params.task, data)
    summary = prepare(
        source=data.source,
        path=Path(data.path),
        table=data.table,
        kind=examples.kind,
        target=examples.target,
        max_refused_fraction=data.max_refused_fraction,
        min_per_class=data.min_per_class,
        near_duplicate_distance=data.near_duplicate_distance,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        output=PREPARED,
    )
    audit = pd.read_csv(PREPARED / "audit.csv", dtype="str", na_filter=False)
    # Of the test examples only how many there are in each group; their targets stay shut.
    splits = pd.read_csv(
        PREPARED / SAMPLES_FILE, usecols=["id", "split", "group"], dtype="str", na_filter=False
    )
    split_of = dict(zip(splits["id"], splits["split"], strict=True))
    is_test = splits["split"] == "test"
    prepared = Prepared(open_store(PREPARED, ("train", "val")), summary, examples.kind.names)
    sentences = write_data_report(
        PREPARE_REPORT,
        prepared,
        audit,
        _read_again(data, examples.kind, examples.sought, audit, refused_to_show(audit, split_of)),
        splits[is_test].groupby("group").size().tolist(),
        _annotations(PREPARED / ANNOTATIONS_FILE),
    )
    wrapped = [
        line
        for text in [*overview_sentences(summary, prepared.names), *sentences]
        for line in wrap(text, _WIDTH, subsequent_indent="  ")
    ]
    return [*terminal_lines(prepared), *wrapped]


def _annotations(file: Path) -> pd.DataFrame | None:
    """What was noted of annotations; None where nothing is annotated."""
    return pd.read_csv(file, dtype="str", na_filter=False) if file.is_file() else None


def _read_again(
    data: DataSettings, kind: Kind, sought: Sought, audit: pd.DataFrame, ids: Iterable[str]
) -> list[RefusedPicture]:
    """The first of these refused pictures, which the prepared data do not hold, from their source.

    Args:
        data: where they are.
        kind: that the others were prepared as; only pictures are shown again.
        sought: what the source was asked for.
        audit: columns id and reason.
        ids: of examples that could be opened.
    """
    wanted = set(sorted(ids)[:MOST_REFUSED])
    if not wanted or not isinstance(kind, PictureKind):
        return []
    reason = dict(zip(audit["id"], audit["reason"], strict=True))
    shown = []
    for item in open_examples(data.source, Path(data.path), data.table, sought).items:
        if item.id in wanted:
            try:
                square = decode_square(item.read(), kind.decoding)
            except Refused:  # it has changed since it was opened
                continue
            shown.append(RefusedPicture(item.id, reason[item.id], square.pixels))
    return shown
