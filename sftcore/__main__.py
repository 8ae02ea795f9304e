"""Commands beside the stages, such as ``python -m sftcore sync`` or ``advice``."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals
from sftcore.pipeline.predict_command import add_predict, run_predict


def main() -> int:
    """Run the command that the user names; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sftcore", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync", help="tell MLflow what it has missed")
    pages = commands.add_parser("ui", help="serve MLflow's pages, and say which to open")
    pages.add_argument("--port", type=_port, default=5000, help="of this machine (5000)")
    commands.add_parser("verify", help="compare every file with the hash that was written down")
    commands.add_parser("reference", help="keep this run's hashes for machines of its kind")
    advice = commands.add_parser("advice", help="write what the study confirmed into params.yaml")
    advice.add_argument("--experiment", action="store_true", help="and run it as an experiment")
    undo = commands.add_parser("undo-advice", help="put the earlier values back")
    undo.add_argument("--force", action="store_true", help="also where a value was set since")
    commands.add_parser("params", help="write params.yaml anew, with every setting's meaning")
    commands.add_parser("examples", help="complete the folders of examples/; for maintainers")
    add_predict(commands)
    exported = commands.add_parser(
        "export", help="write a fine-tuned language model as a folder that transformers loads"
    )
    exported.add_argument("--out", type=Path, required=True, help="folder to write")
    exported.add_argument("--model", type=Path, default=Path("models/finetuned"))
    options = parser.parse_args()
    command = options.command
    if command == "predict":
        return run_predict(options)
    if command in ("advice", "undo-advice"):
        from sftcore.pipeline.advice import run_experiment, take_advice, undo_advice

        if command == "undo-advice":
            lines: Iterable[str] = undo_advice(force=options.force)
        else:
            lines = run_experiment() if options.experiment else take_advice()
        for line in lines:
            print(line, flush=True)
        return 0
    if command == "export":
        from sftcore.pipeline.export import export

        for line in export(options.out, options.model):
            print(line)
        return 0
    if command == "params":
        from sftcore.settings.writing import rewrite_params

        print(rewrite_params())
        return 0
    if command == "examples":
        from sftcore.pipeline.declaring import write_examples

        for line in write_examples(Path()):
            print(line)
        return 0
    if command == "ui":
        from sftcore.pipeline.ui import ui

        for line in ui(options.port):
            print(line, flush=True)
        return 0
    if command == "sync":
        from sftcore.pipeline.sync import sync

        has_said = False
        for line in sync():
            print(line, flush=True)
            has_said = True
        if not has_said:
            print("MLflow has everything")
        return 0
    from sftcore.pipeline import verify

    if command == "reference":
        print(f"wrote {verify.write_reference()}")
        return 0
    findings, num_files, num_bytes = verify.verify()
    print("\n".join(findings) or "no file differs from the hash that was written down for it")
    print(f"looked at {num_files} files, {num_bytes / 1e6:.1f} MB; {verify.compare_reference()}")
    return 1 if findings else 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    collect_seldom()
    with exit_on_error(), leave_on_signals():
        sys.exit(main())
