"""What is written of examples besides their rows: nothing, unless a task has more to write."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sftcore.evaluation.predict import Seen
from sftcore.use.inputs import Named
from sftcore.use.journal import Journal


class Keeper:
    """Writes nothing."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What tells whether the files of an earlier run are those of this one."""
        return {}

    def begin(self) -> None:
        """Write what is of no single example.

        Raises:
            OutputError: a folder cannot be written.
        """

    def kept(self, seen: Seen, examples: Sequence[Named]) -> Seen:
        """Write the files of examples, before their rows are said to be done.

        Args:
            seen: what the network says of the examples.
            examples: that it was shown.

        Returns:
            What the table is made of.

        Raises:
            OutputError: the disk is full.
            DataError: an example is another one than when it was opened.
        """
        return seen

    def end(self, journal: Journal, header: str) -> Iterator[str]:
        """Write what is of all examples together, before the table is put in place.

        Args:
            journal: with all rows.
            header: of the table.

        Yields:
            Lines for the user.

        Raises:
            OutputError: the disk is full.
        """
        yield from ()
