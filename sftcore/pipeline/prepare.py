"""The prepare stage: prepare the pictures, show what they are, say what they can show."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

import pandas as pd

from sftcore.data.pictures.decode import Decoding, Refused, decode_square
from sftcore.data.pictures.kind import PictureKind
from sftcore.data.prepare import prepare
from sftcore.data.settings import DataSettings
from sftcore.data.sources import read_source
from sftcore.data.store import SAMPLES_FILE, open_store
from sftcore.inspection.choice import refused_to_show
from sftcore.inspection.data_report import MOST_REFUSED, RefusedPicture, write_data_report
from sftcore.inspection.overview import overview_sentences, table_lines
from sftcore.pipeline.paths import PREPARE_REPORT, PREPARED
from sftcore.settings.reading import Sections

_WIDTH = 96  # columns of a terminal


class PrepareParams(Sections):
    """What the stage reads."""

    data: DataSettings = DataSettings()


def prepare_and_show(data: DataSettings) -> list[str]:
    """Write ``data/prepared`` and ``reports/prepare``.

    Args:
        data: the section of params.yaml.

    Returns:
        Lines that say what the data are.

    Raises:
        DataError: the source cannot be used, or a limit is passed.
        OutputError: the output does not fit on the disk.
    """
    decoding = Decoding(
        data.image_size,
        data.max_pixels,
        (data.background[0], data.background[1], data.background[2]),
    )
    summary = prepare(
        source=data.source,
        path=Path(data.path),
        table=data.table,
        kind=PictureKind(decoding),
        max_refused_fraction=data.max_refused_fraction,
        min_pictures_per_class=data.min_pictures_per_class,
        near_duplicate_distance=data.near_duplicate_distance,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        output=PREPARED,
    )
    audit = pd.read_csv(PREPARED / "audit.csv", dtype="str", na_filter=False)
    # Of the test pictures only how many there are in each group; their labels stay shut.
    splits = pd.read_csv(
        PREPARED / SAMPLES_FILE, usecols=["id", "split", "group"], dtype="str", na_filter=False
    )
    split_of = dict(zip(splits["id"], splits["split"], strict=True))
    is_test = splits["split"] == "test"
    sentences = write_data_report(
        PREPARE_REPORT,
        open_store(PREPARED, ("train", "val")),
        summary,
        audit,
        _read_again(data, decoding, audit, refused_to_show(audit, split_of)),
        splits[is_test].groupby("group").size().tolist(),
    )
    wrapped = [
        line
        for text in [*overview_sentences(summary), *sentences]
        for line in wrap(text, _WIDTH, subsequent_indent="  ")
    ]
    return [*table_lines(summary), *wrapped]


def _read_again(
    data: DataSettings, decoding: Decoding, audit: pd.DataFrame, ids: Iterable[str]
) -> list[RefusedPicture]:
    """The first of these refused pictures, which the prepared data do not hold, from their source.

    Args:
        data: where they are.
        decoding: that the others were prepared with.
        audit: columns id and reason.
        ids: of pictures that could be opened.
    """
    wanted = set(sorted(ids)[:MOST_REFUSED])
    if not wanted:
        return []
    reason = dict(zip(audit["id"], audit["reason"], strict=True))
    shown = []
    for item in read_source(data.source, Path(data.path), data.table):
        if item.id in wanted:
            try:
                square = decode_square(item.read(), decoding)
            except Refused:  # it has changed since it was opened
                continue
            shown.append(RefusedPicture(item.id, reason[item.id], square.pixels))
    return shown
