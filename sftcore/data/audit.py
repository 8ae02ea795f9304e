"""Judging pictures: which are used, and why the others are not."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sftcore.data.pictures.decode import Refused
from sftcore.foundations.errors import DataError

# Pictures that are left out although nothing is wrong with them: another stands for them. The same
# bytes under two labels are not among these: somebody must look at such labels.
SPARE = ("same bytes as another picture", "near-duplicate across splits")


@dataclass(frozen=True)
class Refusal:
    """One row of the audit table."""

    id: str
    label: str
    reason: str
    detail: str


def refuse_duplicates(
    ids: Sequence[str], labels: Sequence[str], sha256s: Sequence[str], given: Sequence[str]
) -> dict[int, Refused]:
    """Rows whose bytes stand elsewhere too.

    The same bytes under two labels are all refused, since nobody knows which label is right. Of
    the same bytes under one label all are kept that the source names test, so that its test split
    stays whole; without such, the first by id of those named val, else the first by id.

    Args:
        ids: N ids, ascending.
        labels: N class names.
        sha256s: of the N files.
        given: N splits as the source names them, empty where it names none.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for row, sha256 in enumerate(sha256s):
        copies[sha256].append(row)
    refused: dict[int, Refused] = {}
    for rows in copies.values():
        names = sorted({labels[row] for row in rows})
        if len(names) > 1:
            refused |= {
                row: Refused("same bytes under two labels", ", ".join(names)) for row in rows
            }
            continue
        first = min(rows, key=lambda row: (given[row] != "test", given[row] != "val", row))
        refused |= {
            row: Refused(SPARE[0], ids[first])
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
            SPARE[1],
            f"taken out of {splits[row]}: the source has its near-duplicate {ids[kept]} in "
            f"{splits[kept]}, which is kept whole",
        )
        for row, kept in crossing.items()
    ]


def check_limits(
    refusals: Sequence[Refusal],
    accepted_labels: Sequence[str],
    all_labels: Sequence[str],
    *,
    max_refused_fraction: float,
    min_pictures_per_class: int,
) -> None:
    """Stop when too much was broken; pictures that another one stands for do not count.

    Args:
        refusals: all of them.
        accepted_labels: class of every accepted picture.
        all_labels: class of every picture of the source.
        max_refused_fraction: largest accepted part of broken pictures.
        min_pictures_per_class: fewest accepted pictures in a class.

    Raises:
        DataError: a limit is passed; the message counts the reasons and names examples.
    """
    broken = [refusal for refusal in refusals if refusal.reason not in SPARE]
    fraction = len(broken) / len(all_labels)
    shown = _listing(broken if fraction > max_refused_fraction else refusals)
    if fraction > max_refused_fraction:
        raise DataError(
            f"{len(broken)} of {len(all_labels)} pictures ({fraction:.0%}) were refused, more "
            f"than data.max_refused_fraction {max_refused_fraction:.0%} allows:{shown}\n"
            "Mend the pictures or raise the limit"
        )
    counts = Counter(accepted_labels)
    small = {name: counts[name] for name in sorted(set(all_labels))}
    small = {name: count for name, count in small.items() if count < min_pictures_per_class}
    if small:
        raise DataError(
            f"{len(small)} class{'es' * (len(small) > 1)} with fewer than "
            f"data.min_pictures_per_class {min_pictures_per_class} usable pictures: "
            + ", ".join(f"{name} ({count})" for name, count in small.items())
            + f". Add pictures, remove the class, or lower the limit{shown}"
        )


def _listing(refusals: Sequence[Refusal]) -> str:
    if not refusals:
        return ""
    reasons = Counter(refusal.reason for refusal in refusals)
    counts = "".join(f"\n  {count} x {reason}" for reason, count in reasons.most_common())
    examples = "".join(f"\n  {r.id}: {r.reason} {r.detail}".rstrip() for r in refusals[:5])
    return f"{counts}\nfor example{examples}"
