"""Recompute every hash that was written down, and compare with the run that is shipped."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.data.sources import open_source
from sftcore.data.store import MANIFEST_FILE, SAMPLES_FILE
from sftcore.foundations.artifacts import read_json, sha256_file, sha256_json, write_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.repository import make_command
from sftcore.foundations.yaml_files import read_yaml
from sftcore.pipeline.examples import examples_of
from sftcore.pipeline.paths import EVALUATE_REPORT, MODEL, PREPARED
from sftcore.settings.tree import Params, load_params
from sftcore.tasks.reports import report_of

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")
REFERENCES = Path("reference")
_IGNORED = ("__pycache__",)


def verify() -> tuple[list[str], int, int]:
    """Look at every file that a hash was written down for.

    Returns:
        A line per difference, and how many files and bytes were looked at.

    Raises:
        DataError: the pipeline has not been run.
    """
    if not LOCK.is_file():
        raise DataError(f"{LOCK} is not there: run `{make_command()}`")
    expected: dict[Path, tuple[str, str]] = dict(_own_hashes())
    findings: list[str] = []
    for stage in read_yaml(LOCK)["stages"].values():
        for entry in [*stage.get("deps", ()), *stage.get("outs", ())]:
            path, digest = Path(entry["path"]), entry["md5"]
            if not digest.endswith(".dir"):
                expected.setdefault(path, ("md5", digest))
            elif not path.is_dir():
                findings.append(f"{path}: the folder is missing")
            elif directory_digest(path) != digest:
                findings += _differences(path, digest)
            else:
                expected |= {
                    file: ("md5", _md5(file)) for file in files_of(path) if file not in expected
                }
    num_bytes = 0
    for path, (kind, digest) in expected.items():
        if not path.is_file():
            findings.append(f"{path}: missing")
            continue
        num_bytes += path.stat().st_size
        found = sha256_file(path) if kind == "sha256" else _md5(path)
        if found != digest:
            findings.append(f"{path}: {kind} is {found}, written down is {digest}")
    return sorted(set(findings)), len(expected), num_bytes


def _own_hashes() -> Iterator[tuple[Path, tuple[str, str]]]:
    """The hashes in the manifest of the data and in the record of the model."""
    if (PREPARED / MANIFEST_FILE).is_file():
        for name, digest in read_json(PREPARED / MANIFEST_FILE)["files"].items():
            yield PREPARED / name, ("sha256", digest)
        yield from _source_hashes()
    if (MODEL / "model.json").is_file():
        yield (
            MODEL / "model.safetensors",
            (
                "sha256",
                read_json(MODEL / "model.json")["model_sha256"],
            ),
        )


def _source_hashes() -> Iterator[tuple[Path, tuple[str, str]]]:
    """The hashes of the source's files, which the table of samples keeps."""
    params = load_params()
    data = params.data
    if data.source.startswith("torchvision:") or not (PREPARED / SAMPLES_FILE).is_file():
        return
    sought = examples_of(params.task, data).sought
    if open_source(data.source, Path(data.path), data.table, sought).ids_are_files:
        for sample in pd.read_csv(PREPARED / SAMPLES_FILE, dtype=str, na_filter=False).itertuples():
            yield Path(data.path) / str(sample.id), ("sha256", str(sample.sha256))


def files_of(folder: Path) -> list[Path]:
    """The files that DVC counts, in its order."""
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not set(path.parts) & set(_IGNORED)
    ]
    return sorted(files, key=lambda path: path.relative_to(folder).parts)


def directory_digest(folder: Path) -> str:
    """DVC's hash of a folder: the md5 of the list of its files with theirs."""
    listing = [
        {"md5": _md5(path), "relpath": path.relative_to(folder).as_posix()}
        for path in files_of(folder)
    ]
    return _md5_text(json.dumps(listing, sort_keys=True)) + ".dir"


def _differences(folder: Path, digest: str) -> list[str]:
    """Which files differ, by the list that DVC keeps in its cache."""
    try:
        listing = read_json(CACHE / digest[:2] / digest[2:])
    except (OSError, json.JSONDecodeError):
        if folder.parts[0] == "sftcore":  # DVC keeps no copy of code
            return [f"{folder}: differs from the code that ran; git knows which file does"]
        return [f"{folder}: differs; which file does cannot be told without DVC's cache"]
    wanted = {folder / entry["relpath"]: entry["md5"] for entry in listing}
    there = {path: _md5(path) for path in files_of(folder)}
    lines = [f"{path}: missing" for path in wanted.keys() - there.keys()]
    lines += [f"{path}: was not written by the pipeline" for path in there.keys() - wanted.keys()]
    lines += [
        f"{path}: md5 is {there[path]}, written down is {wanted[path]}"
        for path in wanted.keys() & there.keys()
        if wanted[path] != there[path]
    ]
    return lines or [f"{folder}: differs from {LOCK}"]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _md5_text(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def device_class(params: Params) -> str:
    """Machines of one class give the same bytes: by device, and on CPU by mode."""
    from sftcore.foundations.runtime import set_up

    device = set_up(params.runtime.device, params.runtime.num_threads)
    if device.type == "cpu":
        return f"cpu-{params.runtime.mode}"
    import torch

    return f"cuda-{torch.cuda.get_device_name(device)}".lower().replace(" ", "-")


def params_digest(params: Params) -> str:
    """Hash of the parameters that change a number; the device is the class."""
    tree = params.model_dump(exclude={"tracking": True, "runtime": True})
    return sha256_json([tree, params.runtime.num_threads])


def write_reference() -> Path:
    """Write the hashes and the headline metrics of the run in the workspace."""
    params = load_params()
    path = REFERENCES / f"{device_class(params)}.json"
    write_json(
        path,
        {
            "params": params_digest(params),
            "outs": _outs(),
            "test": read_json(EVALUATE_REPORT / "metrics.json")["test"],
        },
    )
    return path


def compare_reference() -> str:
    """What the references say of the workspace: same bytes, near enough, or what differs."""
    params = load_params()
    own, found = device_class(params), []
    for path in sorted(REFERENCES.glob("*.json")):
        reference: dict[str, Any] = read_json(path)
        if reference["params"] != params_digest(params):
            continue
        if path.stem == own:
            outs = _outs()
            other = [name for name, md5 in reference["outs"].items() if outs.get(name) != md5]
            found.append(f"{own}: other bytes in {', '.join(other)}" if other
                         else f"{own}: the same bytes as the reference")  # fmt: skip
        else:
            found.append(f"{path.stem}: {_within_tolerance(reference['test'])}")
    return "; ".join(found) or "there is no reference for these parameters"


def _within_tolerance(reference: dict[str, float]) -> str:
    metrics = read_json(EVALUATE_REPORT / "metrics.json")
    test, parts = metrics["test"], []
    for name, tolerance in report_of(metrics).tolerances.items():
        difference = test[name] - reference[name]
        word = "within" if abs(difference) <= tolerance else "OUTSIDE OF"
        parts.append(f"{name} {difference:+z.3f}, {word} ±{tolerance:g}")
    return ", ".join(parts)


def _outs() -> dict[str, str]:
    stages = read_yaml(LOCK)["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
