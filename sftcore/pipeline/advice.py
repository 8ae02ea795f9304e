"""Taking what a study advises into params.yaml, and taking it back."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftcore.foundations.artifacts import read_json, sha256_json, write_bytes, write_json
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.foundations.repository import make_command
from sftcore.foundations.yaml_files import PARAMS_FILE
from sftcore.pipeline.edits import Sheet, read_sheet
from sftcore.pipeline.paths import ABLATION_REPORT
from sftcore.settings.studies import with_study
from sftcore.settings.tree import Params, check_params, override, recipe_digest

# Beside params.yaml, and not in the folder that all checkouts share: each has its own params.yaml.
RECORD = Path(".sft/advice.json")
_NAME_LENGTH = 7
Entry = dict[str, dict[str, Any]]  # by dotted name: value and piece of text, before and after


def take_advice() -> list[str]:
    """Write the settings that the study confirmed into params.yaml.

    All is checked before anything is written; what was there before goes into ``.sft/advice.json``.

    Returns:
        Lines that say what was changed, why, and what to do next; one line if nothing is to be
        taken.

    Raises:
        DataError: there is no study, or it was made with other settings.
        ParamsError: params.yaml or an advised value is refused.
    """
    sheet, verdict = _read(), _verdict()
    changes = _changes(sheet, _check(sheet), verdict)
    if verdict.get("stand_in"):
        return [f"nothing to take: {verdict['stand_in']} {verdict['advice']}"]
    if not changes:
        return ["nothing to take: the study confirmed no setting that params.yaml does not hold"]
    changed = sheet.with_values(changes)
    _check(changed)
    entry = {
        name: {
            "before": sheet.value(name),
            "after": changed.value(name),
            "piece_before": sheet.piece(name),
            "piece_after": changed.piece(name),
        }
        for name in changes
    }
    # The record first: if the process ends between, undoing finds the earlier values in place.
    write_json(RECORD, [*_stack(), entry])
    write_bytes(PARAMS_FILE, changed.text.encode())
    return [
        *(_change(name, values["before"], values["after"]) for name, values in entry.items()),
        f"because: {verdict['evidence']}",
        f"next: `{make_command()}` runs what depends on it; `{make_command('undo-advice')}` puts "
        "the earlier values back",
    ]


def experiment_command() -> list[str]:
    """The command that runs the study's advice as an experiment of DVC, once it is taken.

    The settings are in params.yaml then. ``-S`` would put them there too, but it rewrites the file
    without its layout.

    Raises:
        DataError: there is no study.
    """
    verdict = _verdict()
    name = sha256_json([verdict["recipe"], verdict["settings"]])[:_NAME_LENGTH]
    return [
        sys.executable, "-m", "dvc", "exp", "run",
        "--name", f"advice-{name}", "--message", verdict["evidence"],
    ]  # fmt: skip


def run_experiment() -> Iterator[str]:
    """Take the advice and run the pipeline as an experiment.

    Raises:
        DataError: there is no study, it was made with other settings, or DVC failed.
        ParamsError: params.yaml or an advised value is refused.
    """
    *lines, _ = told = take_advice()
    if not lines:
        yield from told
        return
    command = experiment_command()
    yield from lines
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise DataError(
            f"`dvc exp run` ended with {done.returncode}; params.yaml holds the advice, and "
            f"`{make_command('undo-advice')}` puts the earlier values back"
        )
    yield f"{command[command.index('--name') + 1]}: `dvc exp show` compares it with the others"


def undo_advice(*, force: bool = False) -> list[str]:
    """Put back what the last advice changed in params.yaml.

    A value that was set since is left, and stays in the record for ``force``; the advice before is
    then the one to undo.

    Args:
        force: put it back too.

    Returns:
        Lines that say what was put back and what was left.

    Raises:
        ParamsError: params.yaml is refused with the earlier values, or is not there.
    """
    stack, sheet, lines = _stack(), _read(), []
    for place in reversed(range(len(stack))):
        entry = stack[place]
        left = {} if force else {n: v for n, v in entry.items() if _is_foreign(sheet, n, v)}
        lines += [
            f"left {name} at {_shown(sheet.value(name))}: it was set since; before the advice "
            f"it was {_shown(values['before'])} (`python -m sftcore undo-advice --force`)"
            for name, values in left.items()
        ]
        mine = {name: values for name, values in entry.items() if name not in left}
        if not mine:
            continue
        lines += [_change(n, sheet.value(n), values["before"]) for n, values in mine.items()]
        earlier = _with_earlier(sheet, mine)
        _check(earlier)
        write_bytes(PARAMS_FILE, earlier.text.encode())
        write_json(RECORD, [*stack[:place], *([left] if left else []), *stack[place + 1 :]])
        return [*lines, f"next: `{make_command()}` runs what depends on it"]
    return lines or ["nothing to undo: no advice was taken here"]


def _changes(sheet: Sheet, params: Params, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Advised settings that differ from those of params.yaml."""
    if verdict.get("recipe") != recipe_digest(params):
        raise DataError(f"the study was made with other settings: run `{make_command()}` first")
    settings: dict[str, Any] = verdict["settings"]
    override(params, settings, str(ABLATION_REPORT / "verdict.json"))
    return {name: value for name, value in settings.items() if sheet.value(name) != value}


def _is_foreign(sheet: Sheet, name: str, values: Mapping[str, Any]) -> bool:
    """Whether a value is neither what the advice wrote nor what was there before."""
    return sheet.value(name) not in (values["after"], values["before"])


def _with_earlier(sheet: Sheet, entry: Entry) -> Sheet:
    """Earlier values back: to the byte where the text is still the advice's own."""
    wrong = {name for name in entry if sheet.value(name) != entry[name]["before"]}
    own = {name for name in wrong if sheet.piece(name) == entry[name]["piece_after"]}
    whole = sheet.with_pieces({name: entry[name]["piece_before"] for name in own})
    return whole.with_values({name: entry[name]["before"] for name in wrong - own})


def _check(sheet: Sheet) -> Params:
    """The typed tree, checked with the study that it names."""
    return with_study(check_params(sheet.tree, str(PARAMS_FILE)))


def _read() -> Sheet:
    """params.yaml with its own line ends."""
    try:
        return read_sheet(PARAMS_FILE.read_bytes().decode())
    except FileNotFoundError as error:
        raise ParamsError(
            f"{PARAMS_FILE} is not here: run from the folder that holds dvc.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{PARAMS_FILE} is not a file of UTF-8 text: {error}") from error


def _verdict() -> dict[str, Any]:
    path = ABLATION_REPORT / "verdict.json"
    try:
        verdict: dict[str, Any] = read_json(path)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is not there, so nothing is advised: run `{make_command()}`"
        ) from error
    return verdict


def _stack() -> list[Entry]:
    """Advices that were taken, the newest last."""
    try:
        stack: list[Entry] = read_json(RECORD)
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise DataError(f"{RECORD} is damaged ({error}): remove it") from error
    return stack


def _change(name: str, before: Any, after: Any) -> str:
    if before == after:
        return f"{name}: {_shown(before)}, as before the advice"
    return f"{name}: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
