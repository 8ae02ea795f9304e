"""Opening every annotated picture once, and judging it with all that is annotated on it."""

from dataclasses import dataclass

from sftcore.data.annotations.faults import Fault, Limits
from sftcore.data.annotations.judging import judge_set
from sftcore.data.annotations.values import Annotated
from sftcore.data.audit import Refusal
from sftcore.data.judging import Judged, judged_of
from sftcore.data.kinds import Names, Refused, Seen
from sftcore.data.opening import AnnotatedContents
from sftcore.data.pictures.annotated import AnnotatedPile
from sftcore.data.targets.target import Value
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.progress import show_progress
from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class JudgedAnnotations:
    """What was seen of annotated pictures.

    Attributes:
        judged: of the pictures that can be used.
        refusals: a row for each of the others.
        faults: a line for each fault, also of annotations of pictures that are used.
        num_annotations: boxes or masks that files name.
    """

    judged: Judged
    refusals: list[Refusal]
    faults: tuple[Fault, ...]
    num_annotations: int


def judge_annotated(
    contents: AnnotatedContents, pile: AnnotatedPile, names: Names, limits: Limits
) -> JudgedAnnotations:
    """Judge all pictures of a set.

    Args:
        contents: of the source.
        pile: gets the squares; row i is item i.
        names: of the kind of examples.
        limits: how much may be wrong.

    Raises:
        DataError: more than the limits allow is refused, or nothing is left.
    """
    assert contents.found is not None
    row_of = {item.id: row for row, item in enumerate(contents.items)}
    seen: dict[int, tuple[Value, str, Seen]] = {}
    refused: dict[int, Refusal] = {}
    with show_progress("prepare", len(contents.items), names.plural) as progress:

        def keep(annotated: Annotated) -> None:
            row = row_of[printable(annotated.picture)]
            progress.advance()
            try:
                content = contents.items[row].read()
                found = pile.add(row, content)
            except Refused as why:
                refused[row] = Refusal(contents.items[row].id, "", why.reason, why.detail)
                return
            classes = pile.annotate(row, annotated, contents.columns)
            seen[row] = classes, sha256_bytes(content), found

        audit = judge_set(contents.found, limits, keep)
    for fault in audit.faults:
        row = row_of.get(printable(fault.picture), -1)
        if fault.severity == "picture" and row >= 0:
            why = Refusal(contents.items[row].id, "", fault.fault, printable(fault.detail))
            refused.setdefault(row, why)
    ordered = [refused[row] for row in sorted(refused)]
    judged = judged_of(contents.items, seen)
    return JudgedAnnotations(judged, ordered, audit.faults, audit.num_annotations)
