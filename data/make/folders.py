"""A shipped folder: made files are written or compared, and their hashes are listed.

``SHA256SUMS`` has the form that ``sha256sum -c`` reads. README.md is by hand and not listed.
"""

import argparse
import csv
import io
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sftcore.foundations.artifacts import sha256_bytes, sha256_file, write_bytes
from sftcore.foundations.errors import DataError, exit_on_error

DATA = Path(__file__).parents[1]
SUMS = "SHA256SUMS"
BY_HAND = frozenset({"README.md", SUMS})

Files = dict[str, bytes]
Make = Callable[[Path], Files]


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table as UTF-8 CSV with ``\\n`` line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def sums_text(files: Mapping[str, bytes]) -> str:
    """One line per file, ``<sha256>  <path>``, in the order of the paths."""
    return "".join(f"{sha256_bytes(files[name])}  {name}\n" for name in sorted(files))


def read_sums(folder: Path) -> dict[str, str]:
    """The listed sha256 of every file of a shipped folder, by path."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def differences(folder: Path) -> list[str]:
    """What in a shipped folder is missing, changed or not listed, one line each."""
    listed = read_sums(folder)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    changed = [n for n in listed if n in found and sha256_file(folder / n) != listed[n]]
    return (
        [f"missing: {name}" for name in sorted(set(listed) - found)]
        + [f"changed: {name}" for name in sorted(changed)]
        + [f"not listed: {name}" for name in sorted(found - set(listed) - BY_HAND)]
    )


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace the made files of a folder and their list of hashes; what is by hand stays."""
    for path in folder.iterdir() if folder.is_dir() else []:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in BY_HAND:
            path.unlink()
    for name, content in files.items():
        write_bytes(folder / name, content)
    write_bytes(folder / SUMS, sums_text(files).encode())


def compare(folder: Path, files: Mapping[str, bytes]) -> None:
    """Hold made files against the list of a shipped folder.

    Raises:
        DataError: they are others; the message names up to eight of them.
    """
    listed = read_sums(folder)
    made = {name: sha256_bytes(content) for name, content in files.items()}
    other = sorted(n for n in listed.keys() | made.keys() if listed.get(n) != made.get(n))
    if other:
        raise DataError(
            f"{len(other)} of {len(listed)} files of {folder} come out otherwise here, such as "
            f"{', '.join(other[:8])}: another version of the Debian package, or of Pillow, which "
            "writes the pictures"
        )


def command(name: str, make: Make, argv: Sequence[str] | None = None) -> None:
    """Make one folder of ``data/`` on the command line: ``[--root FOLDER] [--check]``.

    Args:
        name: of the folder.
        make: from the packages' root to the contents of all made files by path.
        argv: arguments; those of the process if None.
    """
    parser = argparse.ArgumentParser(prog=f"python -m data.make.{name}")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where packages are unpacked")
    parser.add_argument("--check", action="store_true", help="compare with the list, write nothing")
    arguments = parser.parse_args(argv)
    with exit_on_error():
        files, folder = make(arguments.root), DATA / name
        (compare if arguments.check else write_folder)(folder, files)
        num_bytes = sum(map(len, files.values()))
        print(f"{folder}: {len(files)} files, {num_bytes} bytes")
