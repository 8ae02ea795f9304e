"""Kill the pipeline at random moments and compare: ``python -m reliability.chaos --kills 20``.

A small project is run once in peace. Then it is run from nothing again and again, and each time
killed at a random moment in a random way, until it is let through and MLflow told of what waited
(``make sync``). Its dvc.lock must have the bytes of the peaceful run, MLflow must hold no
unfinished run and no step twice, and nothing half-written may lie about. Prints a Markdown table;
exit code 1 if anything differs.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.pipeline.project import environment, make_project

CHANGES: dict[str, Any] = {
    "train__epochs": 6,
    "train__head__epochs": 2,
    "train__batch_size": 4,
    "train__augmentation__strength": 0.5,
    "model__dropout": 0.2,
    "runtime__num_workers": 2,
    "runtime__checkpoint_seconds": 0.0,
    "tracking__enabled": True,
}
FULL_DISK_BYTES = (20_000, 100_000, 400_000)  # a file may have; more fails like a full disk
PATIENCE_S = 600


@dataclass(frozen=True)
class Kill:
    """One interruption: how, in which stage, and after how many seconds."""

    kind: str
    stage: str
    seconds: float


def signal_group(dvc: psutil.Process, number: int) -> None:
    """To DVC and all that it started, as a terminal or a power cut does."""
    os.killpg(dvc.pid, number)


def signal_stage(dvc: psutil.Process, number: int) -> None:
    """To the stage alone; DVC sees it fail."""
    for process in dvc.children():
        process.send_signal(number)


def signal_dvc(dvc: psutil.Process, number: int) -> None:
    """To DVC alone, which leaves the stage an orphan."""
    dvc.send_signal(number)


SIGNALS: dict[str, Callable[[psutil.Process], None]] = {
    "SIGKILL to all": lambda dvc: signal_group(dvc, signal.SIGKILL),
    "SIGKILL to DVC": lambda dvc: signal_dvc(dvc, signal.SIGKILL),
    "SIGKILL to the stage": lambda dvc: signal_stage(dvc, signal.SIGKILL),
    "SIGTERM to all": lambda dvc: signal_group(dvc, signal.SIGTERM),
    "SIGTERM to DVC": lambda dvc: signal_dvc(dvc, signal.SIGTERM),
    "SIGTERM to the stage": lambda dvc: signal_stage(dvc, signal.SIGTERM),
    "Ctrl-C": lambda dvc: signal_group(dvc, signal.SIGINT),
}
POWER_CUT, FULL_DISK = "power cut", "full disk"
KINDS = (*SIGNALS, POWER_CUT, FULL_DISK)


def new_project(folder: Path) -> Path:
    """A small project under git and DVC that has not run yet."""
    make_project(folder, **CHANGES)
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write("!/data/mine/\n")
    identity = ("-c", "user.name=chaos", "-c", "user.email=chaos@example.org")
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", *identity, "commit", "-qm", "project"],
    ):
        subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return folder


def start(folder: Path, file_bytes: int | None = None) -> subprocess.Popen[bytes]:
    """``dvc repro`` in a process group of its own."""

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env=environment(), stdout=log, stderr=log,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip


def run_whole(folder: Path) -> float:
    """Run to the end; gives the seconds it took.

    Raises:
        RuntimeError: DVC failed; the message ends with its last words.
    """
    began = time.monotonic()
    if start(folder).wait(PATIENCE_S):
        log = (folder.parent / f"{folder.name}.log").read_text(errors="replace")
        raise RuntimeError(f"dvc repro failed:\n{log[-3000:]}")
    return time.monotonic() - began


def sync(folder: Path) -> None:
    """What MLflow's store could not take, for want of space, is told to it now."""
    command = [sys.executable, "-m", "sftcore", "sync"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)


def interrupt(folder: Path, kind: str, seconds: float, stream: random.Random) -> Kill | None:
    """Start, wait, kill; nothing if it was over before. All its processes are gone after this."""
    limit = stream.choice(FULL_DISK_BYTES) if kind == FULL_DISK else None
    process = start(folder, limit)
    dvc = psutil.Process(process.pid)
    if kind == FULL_DISK:
        process.wait(PATIENCE_S)
        return Kill(kind, f"files of {limit} bytes", 0)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return None
    family = dvc.children(recursive=True)
    stage = stage_of(family)
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        SIGNALS.get(kind, SIGNALS["SIGKILL to all"])(dvc)
    process.wait(PATIENCE_S)
    psutil.wait_procs(family, timeout=60)
    if kind == POWER_CUT:
        cut_newest(folder / ".sft")
    return Kill(kind, stage, seconds)


def stage_of(family: list[psutil.Process]) -> str:
    """Which stage is running."""
    for process in family:
        with suppress(psutil.NoSuchProcess):
            for word in process.cmdline():
                if word.startswith("stages."):
                    return word.removeprefix("stages.")
    return "between stages"


def cut_newest(scratch: Path, num_files: int = 2) -> None:
    """Cut the last written files in half, as a power cut may leave them."""
    files = [path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size]
    for path in sorted(files, key=lambda path: path.stat().st_mtime)[-num_files:]:
        os.truncate(path, path.stat().st_size // 2)


def faults(folder: Path, lock: bytes) -> list[str]:
    """What differs from a peaceful run."""
    found = []
    if (folder / "dvc.lock").read_bytes() != lock:
        found.append("dvc.lock differs")
    for place in ("data", "models", "reports"):
        found += [f"left over: {path.name}" for path in (folder / place).glob(".*.*.tmp")]
        found += [f"left over: {path.name}" for path in (folder / place).glob(".*.*.old")]
    return found + tracking_faults(folder)


def tracking_faults(folder: Path) -> list[str]:
    """Runs of MLflow that are not finished, or hold a step twice."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    found = []
    for run in client.search_runs(ids, max_results=1000):
        name = run.info.run_name
        if run.info.status != "FINISHED":
            found.append(f"MLflow: {name} is {run.info.status}")
        for metric in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
            if len(steps) != len(set(steps)):
                found.append(f"MLflow: {name} has {metric} twice for a step")
    return found


def run_with_kills(
    folder: Path, plan: Iterable[tuple[str, float]], stream: random.Random
) -> list[Kill]:
    """Interrupt a project again and again, let it through at last, and tell MLflow what waited.

    Args:
        folder: of a project that has not run yet.
        plan: kinds of kills with the seconds after which they come; each one meets what the one
            before has left.
        stream: of random numbers, for what a kind leaves open.

    Returns:
        The kills; those of the plan from which on the pipeline was over before are left out.
    """
    kills = []
    for kind, seconds in plan:
        kill = interrupt(folder, kind, seconds, stream)
        if kill is None:
            break
        kills.append(kill)
        print(f"{kill.kind} in {kill.stage} after {kill.seconds:.1f} s", flush=True)
    run_whole(folder)
    sync(folder)
    return kills


def campaign(root: Path, num_kills: int, seed: int, kills_per_run: int = 4) -> list[str]:
    """Kill ``num_kills`` times, print a table, and give all faults found."""
    stream = random.Random(seed)
    peaceful = new_project(root / "peaceful")
    whole = run_whole(peaceful)
    lock = (peaceful / "dvc.lock").read_bytes()
    found = [f"peaceful run: {fault}" for fault in faults(peaceful, lock)]
    print(f"a peaceful run takes {whole:.0f} s", flush=True)
    kills: list[Kill] = []
    kinds = [KINDS[index % len(KINDS)] for index in range(num_kills)]
    stream.shuffle(kinds)
    runs = 0
    while kinds:
        folder = new_project(root / f"run{runs}")
        runs += 1
        plan = ((kind, stream.uniform(0, whole)) for kind in kinds[:kills_per_run])
        here = run_with_kills(folder, plan, stream)
        kinds = kinds[len(here) :]  # what came too late waits for another run
        kills += here
        faulty = [f"run {runs}: {fault}" for fault in faults(folder, lock)]
        print(f"run {runs}: {faulty or 'as in peace'}", flush=True)
        found += faulty
    print(f"\n{len(kills)} kills over {runs} runs, {len(found)} faults\n")
    print("| kind | times |\n|---|---|")
    for name, count in sorted(Counter(kill.kind for kill in kills).items()):
        print(f"| {name} | {count} |")
    print("\n| in stage | times |\n|---|---|")
    for name, count in sorted(Counter(kill.stage for kill in kills).items()):
        print(f"| {name} | {count} |")
    return found


def main() -> None:
    """Run the campaign in a temporary folder, which is kept if a fault is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=18)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    found = campaign(root, options.kills, options.seed)
    if found:
        sys.exit("\n".join([*found, f"kept for a look: {root}"]))
    subprocess.run(["rm", "-rf", str(root)], check=True)


if __name__ == "__main__":
    main()
