"""Texts in use: files and rows of tables, read as training reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, ClassVar

from sftcore.data.kinds import Names
from sftcore.data.sources.files import refusing
from sftcore.data.sources.trees import TABLE_SUFFIXES
from sftcore.data.texts.decode import MAX_CHARACTERS, decode_text
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.evaluation.predict import ModelRecord
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened, open_with
from sftcore.use.reading import Reading, ReadingOptions
from sftcore.use.table_rows import rows_of


class TextReading(Reading):
    """See :class:`sftcore.use.reading.Reading`.

    Args:
        record: of the model.
        options: the limit, and the column of tables.
    """

    names = TEXT_NAMES
    counted = "texts"
    takes: ClassVar[tuple[str, ...]] = ("max_characters", "column")
    # Batches are of texts of one width, so few texts would leave most of them to be filled up.
    group = 512

    def __init__(self, record: ModelRecord, options: ReadingOptions) -> None:
        limit = options.max_characters
        self._limit = MAX_CHARACTERS if limit is None else limit
        self._column = (options.column or "").strip().lower()
        self._read = partial(decode_text, max_characters=self._limit)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The limit and the column."""
        return {"max_characters": self._limit, "column": self._column}

    def examples_of(self, named: Named) -> Iterator[Named]:
        """The rows of a table, or the file itself; other kinds by their name are no texts."""
        suffix = PurePath(named.member or named.path).suffix.lower()
        is_file = named.member or Path(named.path).is_file()
        if suffix in TABLE_SUFFIXES and is_file and not named.fault:
            yield from rows_of(named, self._column, self._names)
        elif suffix in self.names.others and is_file:
            what = f"not a {self.names.noun}"
            yield replace(named, content=refusing(what, f"{suffix} by its name"))
        else:
            yield named

    @property
    def _names(self) -> Names:
        if not self._column:
            return TEXT_NAMES
        return replace(TEXT_NAMES, columns=(self._column,), paths=())

    def open_all(self, examples: Sequence[Named], num_workers: int) -> Iterator[Opened]:
        """See :class:`sftcore.use.reading.Reading`; reading texts takes no other process."""
        return (open_with(self._read, named) for named in examples)

    def stack(self, examples: Sequence[Any]) -> list[str]:
        """The texts."""
        return list(examples)
