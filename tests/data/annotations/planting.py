"""What the tests of planted faults share."""

from pathlib import Path
from typing import Any

from sftcore.data.annotations import Limits, open_annotations
from tests.data.annotations.exports import Files, write
from tests.data.annotations.test_formats import judged

A, AN, RE, PI = "a.jpg", "annotation", "remark", "picture"
LENIENT = Limits(max_refused_fraction=1.0)
Line = tuple[str, str, str, str]  # picture's or file's name, where, fault, severity


def lines(tmp_path: Path, files: Files, wanted: str = "boxes", **options: Any) -> list[Line]:
    found = open_annotations(write(tmp_path, files), wanted, **options)
    _, faults = judged(found, LENIENT)
    return sorted(
        (Path(f.picture or f.file).name, f.where, f.fault, f.severity)
        for f in faults
        if f.fault != "empty picture"
    )
