"""What can be wrong with annotations, how grave it is, and what to do about it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sftcore.data.sources.items import counted
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable, safe_cells

# What is not used because of it: nothing is left out, one annotation, or all of the picture.
Severity = Literal["remark", "annotation", "picture"]
COLUMNS = ["picture", "file", "where", "fault", "detail", "severity"]

OUTSIDE = "box outside the picture"
PARTLY_OUTSIDE = "box partly outside the picture"
MOSTLY_OUTSIDE = "box mostly outside the picture"
NO_AREA = "box without an area"
NOT_FINITE = "coordinates not finite"
DOUBLED = "same box twice"
TWO_CLASSES = "same box with two classes"
UNKNOWN_CLASS = "unknown class"
UNKNOWN_NUMBER = "class number not in the table"
MALFORMED = "malformed annotation"
MALFORMED_FILE = "malformed annotation file"
MALFORMED_OUTLINE = "malformed outline"
NO_PICTURE = "picture missing"
ORPHAN = "annotation of no picture"
ORPHAN_FILE = "annotation file without a picture"
OUTWARD_NAME = "name leads out of the data"
SEVERAL_PICTURES = "several pictures of one name"
LISTED_TWICE = "picture listed twice"
SAME_ID = "id stands twice"
NO_FILE = "picture without annotations"
UNREADABLE = "picture cannot be read"
OTHER_SIZE = "declared size is another"
TURNED_SIZE = "declared size is that before turning"
TURNED = "picture is turned by EXIF"
EMPTY = "empty picture"
NONE_LEFT = "no annotation left"
MASK_SIZE = "mask of another size"
MASK_MODE = "mask of a wrong mode"
MASK_UNREADABLE = "mask cannot be read"
UNKNOWN_VALUE = "unknown mask value"
UNKNOWN_COLOUR = "colour not in the table"
OTHER_TABLE = "table of classes differs"
COORDINATE_ORIGIN = "coordinates not counted from 1"

_ADVICE = {
    OUTSIDE: "was the picture resized or cropped after it was annotated, or are coordinates in "
    "other units?",
    MOSTLY_OUTSIDE: "move the box into the picture, or lower data.annotations.min_inside_fraction",
    NO_AREA: "remove the annotation; most are clicks without a drag",
    NOT_FINITE: "remove the annotation or write its numbers anew",
    DOUBLED: "remove one of the two",
    TWO_CLASSES: "decide which class it is, and remove the other annotation",
    UNKNOWN_CLASS: "mend the spelling, or add the class to the list",
    UNKNOWN_NUMBER: "complete the table of classes; YOLO counts from 0",
    MALFORMED: "export the annotations anew",
    MALFORMED_FILE: "export the file anew",
    NO_PICTURE: "put the pictures where the files say, or export with pictures",
    ORPHAN: "export the file anew: its annotations and pictures do not belong together",
    ORPHAN_FILE: "add the picture or remove the file; both need the same name",
    OUTWARD_NAME: "make the names relative to the folder of the pictures",
    SEVERAL_PICTURES: "rename one of the pictures and its annotations",
    LISTED_TWICE: "join the annotations of the picture in one place",
    SAME_ID: "export the file anew: ids must differ",
    UNREADABLE: "mend or remove the picture",
    OTHER_SIZE: "use the pictures that were annotated: others have other coordinates",
    TURNED_SIZE: "turn the pixels as EXIF says and annotate that, or remove the EXIF orientation",
    NONE_LEFT: "mend the picture's annotations: it is not empty",
    MASK_SIZE: "export the mask in the size of its picture",
    MASK_MODE: "export masks as PNG with 8 bits of index, or in the colours of a table",
    MASK_UNREADABLE: "export the mask anew",
    UNKNOWN_VALUE: "complete the table of classes; 255 is for pixels that do not count",
    UNKNOWN_COLOUR: "complete the table of colours; smoothed edges make colours of their own",
}


def advice_of(fault: str) -> str:
    """What to do about a fault; empty where nothing is to be done.

    Args:
        fault: one of the phrases.
    """
    return _ADVICE.get(fault, "")


@dataclass(frozen=True)
class Fault:
    """One line of the audit.

    Attributes:
        picture: path of the picture; empty where no picture is known.
        file: that has the annotation.
        where: in it: ``annotation 7``, ``line 3``, ``value 9``; empty for all of it.
        fault: one of a few fixed phrases.
        detail: what to know beyond it, with numbers.
        severity: what is not used because of it.
    """

    picture: str
    file: str
    where: str
    fault: str
    detail: str
    severity: Severity


@dataclass(frozen=True)
class Limits:
    """How much may be wrong.

    Attributes:
        max_refused_fraction: largest accepted part of pictures, and of annotations, that are not
            used; what belongs to refused pictures counts among the annotations only where it is
            itself wrong.
        min_inside_fraction: a box that reaches beyond the picture is clipped, which the audit
            says, where at least this part of its area is inside; otherwise it is refused.
        max_pixels: of a picture or a mask; larger ones are refused before they are decoded.
    """

    max_refused_fraction: float
    min_inside_fraction: float = 0.5
    max_pixels: int = 50_000_000


def audit_table(faults: Sequence[Fault]) -> pd.DataFrame:
    """The faults as a table that is safe in a spreadsheet, sorted by picture and file.

    Lines of one picture stay in the order in which they were found.
    """
    rows = [{name: printable(text) for name, text in vars(fault).items()} for fault in faults]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return safe_cells(table.sort_values(["picture", "file"], kind="stable", ignore_index=True))


def check_faults(
    faults: Sequence[Fault],
    num_pictures: int,
    num_annotations: int,
    limits: Limits,
) -> None:
    """Stop when too much is refused; remarks do not count.

    Args:
        faults: all of them.
        num_pictures: that the annotation files name, and files that name none.
        num_annotations: of all these, also those that could not be read.
        limits: how much may be wrong.

    Raises:
        DataError: a limit is passed; the message counts the faults, shows examples and says what
            to do about the commonest.
    """
    pictures = {f.picture or f"{f.file} {f.where}" for f in faults if f.severity == "picture"}
    num_lost = sum(fault.severity == "annotation" for fault in faults)
    for what, refused, total in (
        ("picture", len(pictures), num_pictures),
        ("annotation", num_lost, num_annotations),
    ):
        if refused > limits.max_refused_fraction * total:
            told = listing([fault for fault in faults if fault.severity == what])
            limit = f"data.max_refused_fraction {limits.max_refused_fraction:.0%}"
            raise DataError(
                f"{refused} of {counted(total, what)} ({refused / max(total, 1):.0%}) "
                f"{'was' if refused == 1 else 'were'} refused, more than {limit} allows:{told}"
            )


def listing(faults: Sequence[Fault], *, num_kinds: int = 5, num_examples: int = 2) -> str:
    """The commonest faults with their counts, what to do about each, and examples.

    Args:
        faults: some of them.
        num_kinds: how many kinds of faults are shown.
        num_examples: of each kind.
    """
    counts = Counter(fault.fault for fault in faults)
    ordered = sorted(counts, key=lambda kind: (-counts[kind], kind))
    text = ""
    for kind in ordered[:num_kinds]:
        advice = f": {advice_of(kind)}" if advice_of(kind) else ""
        text += f"\n  {counts[kind]} x {kind}{advice}"
        shown = [fault for fault in faults if fault.fault == kind][:num_examples]
        text += "".join(f"\n    {_place(fault)}: {printable(fault.detail)}" for fault in shown)
    if rest := sum(counts[kind] for kind in ordered[num_kinds:]):
        text += f"\n  and {rest} of {counted(len(ordered) - num_kinds, 'other kind')}"
    return text


def _place(fault: Fault) -> str:
    file = fault.file if fault.file != fault.picture else ""
    parts = [part for part in (fault.picture, file, fault.where) if part]
    return printable(", ".join(parts))
