"""Judging examples: which are used, and why the others are not."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sftcore.data.kinds import Names, Refused
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.foundations.errors import DataError

CROSSING = "near-duplicate across splits"


def copy_reason(names: Names) -> str:
    """Why a copy is left out: ``same bytes as another picture``."""
    return f"same {names.sameness} as another {names.noun}"


def spare_reasons(names: Names) -> tuple[str, str]:
    """Of examples that are left out although nothing is wrong with them: another stands for them.

    The same example under two labels is not among these: somebody must look at such labels.
    """
    return copy_reason(names), CROSSING


@dataclass(frozen=True)
class Refusal:
    """One row of the audit table."""

    id: str
    label: str
    reason: str
    detail: str


def refuse_duplicates(
    ids: Sequence[str],
    labels: Sequence[str],
    sha256s: Sequence[str],
    given: Sequence[str],
    names: Names = PICTURE_NAMES,
) -> dict[int, Refused]:
    """Rows whose bytes, or characters, stand elsewhere too.

    The same under two labels are all refused, since nobody knows which label is right. Of the same
    under one label all are kept that the source names test, so that its test split
    stays whole; without such, the first by id of those named val, else the first by id.

    Args:
        ids: N ids, ascending.
        labels: N targets as texts: class names, or what tells sets or numbers apart.
        sha256s: of what makes two of the N examples the same.
        given: N splits as the source names them, empty where it names none.
        names: of the kind of examples.
    """
    reason = copy_reason(names)
    copies: dict[str, list[int]] = defaultdict(list)
    for row, sha256 in enumerate(sha256s):
        copies[sha256].append(row)
    refused: dict[int, Refused] = {}
    for rows in copies.values():
        several = sorted({labels[row] for row in rows})
        if len(several) > 1:
            two = f"same {names.sameness} under two labels"
            refused |= {row: Refused(two, ", ".join(several)) for row in rows}
            continue
        first = min(rows, key=lambda row: (given[row] != "test", given[row] != "val", row))
        refused |= {
            row: Refused(reason, ids[first])
            for row in rows
            if row != first and given[row] != "test"
        }
    return refused


def refuse_crossing(
    ids: Sequence[str],
    labels: Sequence[str],
    splits: Sequence[str],
    crossing: Mapping[int, int],
) -> list[Refusal]:
    """Rows of the audit for near-duplicates that the source put into several splits.

    Args:
        ids: N ids.
        labels: N class names.
        splits: N splits.
        crossing: rows that are left out, each with the row because of which; see
            :func:`sftcore.data.splits.crossing_rows`.
    """
    return [
        Refusal(
            ids[row],
            labels[row],
            CROSSING,
            f"taken out of {splits[row]}: the source has its near-duplicate {ids[kept]} in "
            f"{splits[kept]}, which is kept whole",
        )
        for row, kept in crossing.items()
    ]


def check_refused(
    refusals: Sequence[Refusal],
    num_all: int,
    *,
    max_refused_fraction: float,
    names: Names = PICTURE_NAMES,
) -> None:
    """Stop when too much was broken; examples that another one stands for do not count.

    Args:
        refusals: all of them.
        num_all: examples of the source.
        max_refused_fraction: largest accepted part of broken examples.
        names: of their kind.

    Raises:
        DataError: the limit is passed; the message counts the reasons and names examples.
    """
    broken = [refusal for refusal in refusals if refusal.reason not in spare_reasons(names)]
    fraction = len(broken) / num_all
    if fraction > max_refused_fraction:
        raise DataError(
            f"{len(broken)} of {num_all} {names.plural} ({fraction:.0%}) were refused, more than "
            f"data.max_refused_fraction {max_refused_fraction:.0%} allows:{listing(broken)}\n"
            f"Mend the {names.plural} or raise the limit"
        )


def listing(refusals: Sequence[Refusal]) -> str:
    """Reasons with their counts and a few examples, each on a line; empty for none."""
    if not refusals:
        return ""
    reasons = Counter(refusal.reason for refusal in refusals)
    counts = "".join(f"\n  {count} x {reason}" for reason, count in reasons.most_common())
    examples = "".join(f"\n  {r.id}: {r.reason} {r.detail}".rstrip() for r in refusals[:5])
    return f"{counts}\nfor example{examples}"
