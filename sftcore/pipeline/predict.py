"""The command ``predict``: a finished model's answers for anybody's files."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sftcore.evaluation.predict import ModelRecord, Seen, load_model, look_at, read_record
from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.foundations.progress import show_progress
from sftcore.foundations.runtime import set_up
from sftcore.pipeline.paths import DECISION, MODEL
from sftcore.tasks.answers import answers_of
from sftcore.use.contract import REASON, Usage
from sftcore.use.decision import load_decision
from sftcore.use.inputs import Named, find_files
from sftcore.use.journal import Journal
from sftcore.use.keeping import Keeper
from sftcore.use.opening import Opened
from sftcore.use.output_options import OutputOptions, check_outputs, without_outputs
from sftcore.use.reading import Reading, ReadingOptions, reading_of, shown_to
from sftcore.use.rows import RowMaker
from sftcore.use.usages import USAGES

WITHOUT = "none"  # instead of a folder of rules


@dataclass(frozen=True)
class PredictOptions:
    """What the user asks for.

    Attributes:
        inputs: files, folders, globs, zip archives.
        out: the CSV to write.
        model: folder of the model.
        decision: folder of its rules; empty: the one beside the model, ``none``: no rules.
        with_probabilities: whether all classes' probabilities are written.
        reading: what is said of the examples.
        outputs: what is written besides the table.
        device: see :func:`sftcore.foundations.runtime.set_up`.
        num_workers: processes that decode; 0: this one.
    """

    inputs: Sequence[str]
    out: Path
    model: Path = MODEL
    decision: str = ""
    with_probabilities: bool = False
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    device: str = "auto"
    num_workers: int = 2


def predict(options: PredictOptions) -> Iterator[str]:
    """Write a row for every example; a killed run goes on and ends with the same bytes.

    Args:
        options: see :class:`PredictOptions`.

    Yields:
        Lines for the user.

    Raises:
        ParamsError: an option means nothing for the model's examples or task, or outputs and inputs
            are in one another's way.
        DataError: an input names nothing, a zip archive is none, or a table has no texts.
        WeightsError: the model is missing or damaged, or the rules are of another model.
        DeviceError: the named device is not there.
        OutputError: the output cannot be written.
        ResourceError: a decoding process was ended from outside.
    """
    record = read_record(options.model)
    reading = reading_of(record, options.reading)
    usage = _usage_of(record, options)
    files = find_files(options.inputs, options.out, reading.names.plural)
    files = without_outputs(files, options.outputs)
    device = str(set_up(options.device, 1))
    model = load_model(options.model, device)
    set_up(options.device, record.num_threads)
    answers = answers_of(record.task, record.facts)
    sight = reading.sight(model.sight)
    decision, note = _find_decision(options, record, usage, torch.device(device))
    examples = [example for named in files for example in reading.examples_of(named)]
    if not examples:
        raise DataError(f"there is no row in {', '.join(of.name for of in files)}")
    if note:
        yield note
    maker = RowMaker(usage, decision, options.with_probabilities, tuple(sight.notes))
    keeper = _keeper_of(options, usage, decision, reading, examples)
    key = _key(options, record, decision, device) | dict(reading.facts) | dict(keeper.facts)
    journal = Journal(options.out, sha256_json(key), examples)
    with closing(journal):
        if journal.num_done:
            yield f"goes on after {journal.num_done} rows of an earlier run"
        keeper.begin()
        left = examples[journal.num_done :]
        with show_progress("predict", len(left), reading.counted) as progress:
            opened = reading.open_all(left, options.num_workers)
            for batch in _batches((shown_to(sight, of) for of in opened), reading):
                shown = [of for of in batch if of.example is not None]
                pictures = [of.example for of in shown]
                seen: Seen | None = None
                if shown:
                    seen = look_at(model.network, reading.stack(pictures), sight, answers)
                    seen = keeper.kept(reading.gathered(seen, pictures), [of.named for of in shown])
                journal.add([of.named for of in batch], maker.lines(batch, seen))
                progress.advance(len(batch))
        yield from keeper.end(journal, maker.header)
        journal.finish(maker.header)
    yield from _summary(options.out, usage, decision[0] if decision else None, reading, sight.notes)


def _usage_of(record: ModelRecord, options: PredictOptions) -> Usage[Any, Any]:
    """The usage of the model's task.

    Raises:
        ParamsError: an option means nothing for it, or outputs are in the way of something.
        OutputError: there is a file where a folder is wanted, or the other way round.
    """
    usage = USAGES[record.task](record.names, record.facts)
    if options.with_probabilities and not usage.has_probabilities:
        raise ParamsError(
            f"--probabilities means nothing for a model of {record.task}: leave it out"
        )
    check_outputs(options.outputs, usage, record.task, options.out, options.inputs)
    return usage


def _keeper_of(
    options: PredictOptions,
    usage: Usage[Any, Any],
    decision: tuple[Any, torch.Tensor] | None,
    reading: Reading,
    examples: Sequence[Named],
) -> Keeper:
    """Who finds what is on pictures and writes their files, if answers lie in pictures."""
    from sftcore.use.tiled_usage import TiledUsage

    if not isinstance(usage, TiledUsage):
        return Keeper()
    from sftcore.use.output_files import PictureFiles
    from sftcore.use.tiled_pictures import TiledReading

    assert isinstance(reading, TiledReading)
    rules = decision[0] if decision else None
    return PictureFiles(options.outputs, usage, rules, reading, examples, options.out)


def _find_decision(
    options: PredictOptions, record: ModelRecord, usage: Usage[Any, Any], device: torch.device
) -> tuple[tuple[Any, torch.Tensor] | None, str]:
    """The rules, or what is missing without them."""
    missing = f"the columns {', '.join(usage.decided)} are missing"
    if options.decision == WITHOUT:
        return None, f"without rules, as asked: {missing}"
    beside = options.model.parent / DECISION.name
    folder = Path(options.decision) if options.decision else beside
    if not options.decision and not folder.exists():
        return None, (
            f"{folder} is not there: {missing}; `dvc repro evaluate` writes it for models/finetuned"
        )
    decision, directions = load_decision(folder, record.model_sha256, usage.read)
    note = ""
    if decision.device != device.type:
        note = (
            f"the model was measured on {decision.device} and this is {device.type}: last digits "
            "may differ"
        )
    return (decision, directions.to(device)), note


def _key(
    options: PredictOptions,
    record: ModelRecord,
    decision: tuple[Any, torch.Tensor] | None,
    device: str,
) -> dict[str, Any]:
    """All that a row depends on besides its example and how that is read."""
    return {
        "model": asdict(record),
        "decision": asdict(decision[0]) if decision else None,
        "with_probabilities": options.with_probabilities,
        "device": device,
        "torch": torch.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
    }


def _batches(opened: Iterator[Opened], reading: Reading) -> Iterator[list[Opened]]:
    """Examples in order, cut where there are enough to be shown, or where many are none."""
    batch: list[Opened] = []
    num_shown = 0
    for of in opened:
        batch.append(of)
        num_shown += 0 if of.example is None else reading.num_rows(of.example)
        if num_shown >= reading.group or len(batch) == 4 * reading.group:
            yield batch
            batch, num_shown = [], 0
    if batch:
        yield batch


def _summary(
    out: Path,
    usage: Usage[Any, Any],
    decision: Any,
    reading: Reading,
    notes: Mapping[str, str],
) -> Iterator[str]:
    """What was written, and what the columns can be trusted for."""
    wanted = {REASON, *notes, *(usage.flags if decision else ())}
    num_rows, counts = 0, Counter[str]()
    for part in pd.read_csv(
        out, usecols=lambda name: name in wanted, dtype=str, chunksize=10_000, keep_default_na=False
    ):
        num_rows += len(part)
        counts[REASON] += int((part[REASON] != "").sum())
        for name in wanted - {REASON}:
            counts[name] += int((part[name] == "True").sum())
    num_answered = num_rows - counts[REASON]
    yield (
        f"wrote {out}: {num_rows} {reading.counted}, {counts[REASON]} without an answer "
        "(column reason)"
    )
    for name, words in notes.items():
        if counts[name]:
            yield f"{name}: {counts[name]} of {num_answered} {reading.counted} {words}"
    if decision is not None:
        yield from usage.told(decision, counts, num_answered, reading.names.plural)
