"""From a source to prepared data: open and judge every example, group, split, store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sftcore.data.annotations.faults import Limits, audit_table
from sftcore.data.audit import Refusal, check_refused, refuse_crossing
from sftcore.data.judging import Divided, Judged, drop_copies, judge
from sftcore.data.judging_annotated import judge_annotated
from sftcore.data.kinds import Kind, Names, Pile
from sftcore.data.near_duplicates import Looks, near_duplicate_groups
from sftcore.data.opening import AnnotatedContents, open_examples
from sftcore.data.pictures.annotated import AnnotatedPile
from sftcore.data.sources import Contents, Sought, others_line
from sftcore.data.splits import (
    SPLIT_ORDER,
    assign_splits,
    crossing_rows,
    group_leaders,
    movable_groups,
    require_training,
)
from sftcore.data.summary import summarize
from sftcore.data.targets.limits import check_targets
from sftcore.data.targets.strata import LEAST_GROUPS, strata
from sftcore.data.targets.target import Target
from sftcore.data.writing import target_names, write_prepared
from sftcore.foundations.artifacts import output_folder, require_space, write_csv
from sftcore.foundations.errors import DataError

ANNOTATIONS_FILE = "annotations.csv"  # every fault of an annotation
_CLASSES = Target()


def prepare(
    *,
    source: str,
    path: Path,
    table: str,
    kind: Kind,
    target: Target = _CLASSES,
    max_refused_fraction: float,
    min_per_class: int,
    near_duplicate_distance: int,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
    output: Path,
) -> dict[str, Any]:
    """Write prepared data into ``output``; an earlier one stays unless all goes well.

    Args:
        source: ``auto`` or a kind; see :func:`sftcore.data.sources.open_source`.
        path: folder, archive or table of the data.
        table: file inside it, for the source ``table``.
        kind: of the examples, with its limits; for masks and boxes an
            :class:`~sftcore.data.pictures.annotated.AnnotatedKind`.
        target: what is to be predicted of each.
        max_refused_fraction: more broken examples stop the run.
        min_per_class: fewer usable examples of a class or label stop the run.
        near_duplicate_distance: bits in which near-duplicates may differ; -1 is off.
        val_fraction: wanted part for validation.
        test_fraction: wanted part for test.
        split_seed: another number draws another split.
        output: folder to write.

    Returns:
        The content of ``summary.json``: counts by split, target and reason.

    Raises:
        DataError: the source cannot be used, or a limit is passed.
        OutputError: the output does not fit on the disk.
    """
    contents = open_examples(source, path, table, Sought(kind.names, target))
    print("\n".join(contents.lines()), flush=True)
    limits = _Limits(kind.names, target, contents, max_refused_fraction, min_per_class)
    require_space(output, kind.num_bytes(len(contents.items)))
    with output_folder(output) as folder:
        pile = kind.start(folder, len(contents.items))
        judged, refusals, annotations = _judge(contents, pile, folder, limits)
        judged = drop_copies(judged, refusals, kind.names)
        limits.check(judged, refusals)
        looks = Looks(judged.hashes, pile.are_same, np.array(judged.rows))
        groups = near_duplicate_groups(
            looks, judged.keys, near_duplicate_distance, [item.group for item in judged.items]
        )
        divided = _divide(judged, groups, limits, split_seed, val_fraction, test_fraction)
        divided = _without_crossing(divided, refusals, limits)
        names = limits.target_names(divided.judged)
        summary = summarize(divided, refusals, kind.names, target.kind, names)
        _note(summary, divided.judged, contents, refusals, near_duplicate_distance)
        if annotations:
            summary["annotations"] = annotations
        write_prepared(folder, pile, divided, refusals, summary, kind, target, names)
    return summary


@dataclass(frozen=True)
class _Limits:
    """What stops the run, for the examples of one source."""

    names: Names
    target: Target
    contents: Contents
    max_refused_fraction: float
    least: int

    def target_names(self, judged: Judged) -> list[str]:
        """The classes, labels or numbers, in the order of outputs."""
        classes = sorted({item.label for item in self.contents.items})
        return target_names(self.target.kind, judged.values, self.contents.columns, classes)

    def check(self, judged: Judged, refusals: Sequence[Refusal]) -> None:
        """Stop if too much was refused, or if the rest shows too little."""
        check_refused(
            refusals,
            len(self.contents.items),
            max_refused_fraction=self.max_refused_fraction,
            names=self.names,
        )
        wanted = self.target_names(judged)
        check_targets(
            self.target.kind, judged.values, wanted, refusals, least=self.least, names=self.names
        )


def _judge(
    contents: Contents, pile: Pile, folder: Path, limits: _Limits
) -> tuple[Judged, list[Refusal], dict[str, Any]]:
    """Open every example once; of annotations a line for each fault is left in the folder."""
    names, target = limits.names, limits.target
    if not isinstance(contents, AnnotatedContents) or not isinstance(pile, AnnotatedPile):
        return *judge(contents.items, pile, names, target, contents.columns), {}
    found = judge_annotated(
        contents, pile, names,
        Limits(
            limits.max_refused_fraction, target.annotations.min_inside_fraction, pile.max_pixels
        ),
    )  # fmt: skip
    write_csv(folder / ANNOTATIONS_FILE, audit_table(found.faults))
    counts = Counter((fault.severity, fault.fault) for fault in found.faults)
    faults = {
        severity: {fault: counts[of, fault] for of, fault in sorted(counts) if of == severity}
        for severity in ("remark", "annotation", "picture")
    }
    told = {"num_annotations": found.num_annotations, "faults": faults}
    return found.judged, found.refusals, told


def _divide(
    judged: Judged,
    groups: np.ndarray,
    limits: _Limits,
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> Divided:
    """Split what is there: by strata, near-duplicates together."""
    leaders = group_leaders(judged.keys, groups)
    given = [item.split for item in judged.items]
    movable = movable_groups(leaders, given)
    is_divided = not {"val", "test"} <= set(given)
    if limits.target.kind != "class" and is_divided and len(movable) < LEAST_GROUPS:
        raise DataError(
            f"{len(movable)} {limits.names.plural} that differ from each other are too few for "
            f"{', '.join(SPLIT_ORDER)}: add {limits.names.plural}"
        )
    names = strata(limits.target.kind, judged.values, leaders, movable)
    splits = assign_splits(
        names, leaders, given, seed=seed, val_fraction=val_fraction, test_fraction=test_fraction,
        noun=limits.names.noun,
    )  # fmt: skip
    return Divided(judged, leaders, names, splits)


def _without_crossing(divided: Divided, refusals: list[Refusal], limits: _Limits) -> Divided:
    """Leave out what the source's own splits let cross, and look at the limits again."""
    crossing = crossing_rows(divided.splits, divided.leaders)
    if not crossing:
        return divided
    items = divided.judged.items
    refusals += refuse_crossing(
        [item.id for item in items], [item.label for item in items], divided.splits, crossing
    )
    divided = divided.without(set(crossing))
    limits.check(divided.judged, refusals)
    # Of labels and numbers a stratum without training examples is no loss.
    is_class = limits.target.kind == "class"
    trained = divided.strata if is_class else ["all"] * len(divided.splits)
    require_training(trained, divided.splits, limits.names.noun)
    return divided


def _note(
    summary: dict[str, Any],
    judged: Judged,
    contents: Contents,
    refusals: list[Refusal],
    near_duplicate_distance: int,
) -> None:
    """Say in the summary what keeps examples together, and which files are none."""
    near = summary["near_duplicates"]
    if near_duplicate_distance < 0:
        near["are_not_sought"] = True
    if any(item.group for item in judged.items):
        near["hold_given_groups"] = True
    if contents.others:  # one line for all of them; no example was lost
        summary[f"not_{contents.plural}"] = contents.others
        line = others_line(contents.others, contents.plural)
        refusals.append(Refusal("", "", *line.split(": ", 1)))
