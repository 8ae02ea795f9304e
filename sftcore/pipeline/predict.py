"""The command ``predict``: a finished model's answers for anybody's files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sftcore.data.pictures.decode import MAX_PIXELS, Decoding
from sftcore.evaluation.predict import FineTuned, ModelRecord, Seen, load_model, look_at
from sftcore.evaluation.sight import PREDICT_BATCH_SIZE
from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.progress import show_progress
from sftcore.foundations.runtime import set_up
from sftcore.pipeline.paths import DECISION, MODEL
from sftcore.tasks.answers import Answers, answers_of
from sftcore.use.contract import REASON, Usage
from sftcore.use.decision import load_decision
from sftcore.use.decoding import Opened, open_all
from sftcore.use.inputs import find_pictures
from sftcore.use.journal import Journal
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
        max_pixels: larger pictures are refused undecoded.
        device: see :func:`sftcore.foundations.runtime.set_up`.
        num_workers: processes that decode; 0: this one.
    """

    inputs: Sequence[str]
    out: Path
    model: Path = MODEL
    decision: str = ""
    with_probabilities: bool = False
    max_pixels: int = MAX_PIXELS
    device: str = "auto"
    num_workers: int = 2


def predict(options: PredictOptions) -> Iterator[str]:
    """Write a row for every file; a killed run goes on and ends with the same bytes.

    Args:
        options: see :class:`PredictOptions`.

    Yields:
        Lines for the user.

    Raises:
        DataError: an input names nothing, or a zip archive is none.
        WeightsError: the model is missing or damaged, or the rules are of another model.
        DeviceError: the named device is not there.
        OutputError: the output cannot be written.
        ResourceError: a decoding process was ended from outside.
    """
    pictures = find_pictures(options.inputs, options.out)
    device = str(set_up(options.device, 1))
    model = load_model(options.model, device)
    record = model.record
    set_up(options.device, record.num_threads)
    answers = answers_of(record.task, record.facts)
    usage = USAGES[record.task](record.names)
    decision, note = _find_decision(options, record, usage, torch.device(device))
    if note:
        yield note
    maker = RowMaker(usage, decision, options.with_probabilities)
    journal = Journal(options.out, _key(options, record, decision, device), pictures)
    with closing(journal):
        if journal.num_done:
            yield f"goes on after {journal.num_done} rows of an earlier run"
        decoding = Decoding(record.image_size, options.max_pixels, record.background)
        left = pictures[journal.num_done :]
        with show_progress("predict", len(left), "files") as progress:
            opened = open_all(left, decoding, options.num_workers)
            for batch in _batches(opened):
                seen = _see(batch, model, answers)
                journal.add([of.named for of in batch], maker.lines(batch, seen))
                progress.advance(len(batch))
        journal.finish(maker.header)
    yield from _summary(options.out, usage, decision[0] if decision else None)


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
) -> str:
    """Of all that a row depends on besides its picture."""
    return sha256_json(
        {
            "model": asdict(record),
            "decision": asdict(decision[0]) if decision else None,
            "with_probabilities": options.with_probabilities,
            "max_pixels": options.max_pixels,
            "device": device,
            "torch": torch.__version__,
            "kernels": torch.backends.cpu.get_cpu_capability(),
        }
    )


def _batches(opened: Iterator[Opened]) -> Iterator[list[Opened]]:
    """Files in order, cut where the network has a batch, or where many files are no pictures."""
    batch: list[Opened] = []
    num_pictures = 0
    for of in opened:
        batch.append(of)
        num_pictures += of.pixels is not None
        if num_pictures == PREDICT_BATCH_SIZE or len(batch) == 4 * PREDICT_BATCH_SIZE:
            yield batch
            batch, num_pictures = [], 0
    if batch:
        yield batch


def _see(batch: Sequence[Opened], model: FineTuned, answers: Answers) -> Seen | None:
    """What the network says of the pictures among some files; None without any."""
    images = [of.pixels for of in batch if of.pixels is not None]
    if not images:
        return None
    return look_at(model.network, np.stack(images), model.sight, answers)


def _summary(out: Path, usage: Usage[Any, Any], decision: Any) -> Iterator[str]:
    """What was written, and what the columns can be trusted for."""
    wanted = {REASON, *(usage.flags if decision else ())}
    num_files, counts = 0, Counter[str]()
    for part in pd.read_csv(
        out, usecols=lambda name: name in wanted, dtype=str, chunksize=10_000, keep_default_na=False
    ):
        num_files += len(part)
        counts[REASON] += int((part[REASON] != "").sum())
        for name in wanted - {REASON}:
            counts[name] += int((part[name] == "True").sum())
    num_pictures = num_files - counts[REASON]
    yield f"wrote {out}: {num_files} files, {counts[REASON]} without an answer (column reason)"
    if decision is not None:
        yield from usage.told(decision, counts, num_pictures)
