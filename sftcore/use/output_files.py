"""Files that are written of pictures besides their rows: drawings, masks, one file of boxes."""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sftcore.data.annotations import index_mask, voc_palette
from sftcore.data.kinds import Refused
from sftcore.evaluation.predict import Seen
from sftcore.foundations.artifacts import remove_abandoned, write_bytes, write_csv
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.foundations.tables import safe_cells
from sftcore.use.coco_file import coco_file
from sftcore.use.inputs import Named
from sftcore.use.journal import Journal
from sftcore.use.keeping import Keeper
from sftcore.use.legend import legend_png
from sftcore.use.masks import background_of
from sftcore.use.output_names import common_folder, png_names, relative_names
from sftcore.use.output_options import OutputOptions
from sftcore.use.tiled_pictures import TiledReading
from sftcore.use.tiled_usage import TiledUsage

LEGEND = "legend.png"  # beside drawn masks
CLASSES = "classes.csv"  # beside masks, as they are read for training
_COMPRESSION = 3  # of PNG: large drawings would take seconds otherwise


class PictureFiles(Keeper):
    """Finds what is on pictures and writes their files; see :class:`sftcore.use.keeping.Keeper`.

    Args:
        options: what is asked for.
        usage: of the model.
        rules: of the model, or None.
        reading: that opens the pictures.
        examples: all of them, in order.
        out: the table.

    Raises:
        ParamsError: a picture's file would be the table, or the file of boxes.
    """

    def __init__(
        self,
        options: OutputOptions,
        usage: TiledUsage[Any, Any, Any],
        rules: Any,
        reading: TiledReading,
        examples: Sequence[Named],
        out: Path,
    ) -> None:
        self._options, self._usage = options, usage
        self._rules, self._reading = rules, reading
        self._relative = relative_names(examples)
        names = png_names(self._relative, [LEGEND])
        self._names = {_key(of): name for of, name in zip(examples, names, strict=True)}
        self._root = common_folder(examples)
        self._files = [folder / name for folder in options.folders.values() for name in names]
        files = {of.resolve() for of in self._files}
        for option, file in (("--out", out), ("--coco", options.coco)):
            if file is not None and file.resolve() in files:
                raise ParamsError(f"{option} {file} is where a picture would be written: rename it")

    @property
    def facts(self) -> Mapping[str, Any]:
        """What tells whether the files of an earlier run are those of this one."""
        if not self._options.folders:
            return {}
        folders = {name: str(of.resolve()) for name, of in self._options.folders.items()}
        return {"folders": folders, "root": self._root}

    def begin(self) -> None:
        """Write which class a colour or a number is."""
        for folder in {of.parent for of in self._files}:
            if folder.is_dir():
                remove_abandoned(folder)
        names = self._usage.names
        if self._options.draw is not None and "masks" in self._usage.writes:
            legend = legend_png(names, background_of(names))
            write_bytes(self._options.draw / LEGEND, legend)
        if self._options.masks is not None:
            colours = ["#%02x%02x%02x" % tuple(of) for of in voc_palette()[: len(names)].tolist()]  # noqa: UP031
            table = pd.DataFrame({"value": range(len(names)), "name": names, "colour": colours})
            write_csv(self._options.masks / CLASSES, safe_cells(table))

    def kept(self, seen: Seen, examples: Sequence[Named]) -> Seen:
        """Of :class:`sftcore.use.tiles.TiledAnswers` the rows, one picture after the other."""
        rows = np.empty(len(examples), dtype=object)
        for place, named in enumerate(examples):
            found = self._usage.find(seen.answers[place], self._rules)
            rows[place] = self._usage.row(found)
            for folder, content in self._files_of(named, found):
                write_bytes(folder / self._names[_key(named)], content)
        return Seen(seen.features, rows)

    def end(self, journal: Journal, header: str) -> Iterator[str]:
        """Write the file of boxes, and say what was written."""
        if self._options.coco is not None:
            names = self._usage.names
            content = coco_file(header, journal.rows(), self._relative, names)
            write_bytes(self._options.coco, content)
            yield f"wrote {self._options.coco}: boxes in the pictures' own pixels"
        for name, folder in self._options.folders.items():
            what = {"draw": "drawn pictures", "masks": f"masks, with {CLASSES}"}[name]
            yield f"wrote {folder}: {what}"

    def _files_of(self, named: Named, found: Any) -> Iterator[tuple[Path, bytes]]:
        options = self._options
        if options.masks is not None:
            yield options.masks, index_mask(found.mask)
        if options.draw is not None:
            yield options.draw, _png(self._usage.drawn(self._image(named), found))

    def _image(self, named: Named) -> np.ndarray:
        try:
            return self._reading.picture(named)
        except Refused as refused:
            raise DataError(
                f"{named.name} changed while it was read ({refused}): run again, it goes on from "
                "here"
            ) from refused


def _key(named: Named) -> tuple[str, str]:
    return named.path, named.member


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=_COMPRESSION)
    return file.getvalue()
