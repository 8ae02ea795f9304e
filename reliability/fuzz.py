"""Feed the readers of params.yaml and of pictures with damaged input for a time.

``python -m reliability.fuzz --seconds 300``. Prints how many inputs were tried; stops at the first
that is neither read nor refused, and prints it.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from sftcore.data.pictures.decode import Refused, decode
from sftcore.foundations.errors import ParamsError
from sftcore.settings.tree import load_params
from tests.hostile.inputs import PICTURES, damaged, damaged_params, write_params

BATCH = 500


def try_params(text: str) -> str:
    """Read a text as params.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            load_params(write_params(Path(folder) / "params.yaml", text))
        except ParamsError:
            return "refused"
    return "read"


def try_picture(content: bytes) -> str:
    """Read bytes as a picture."""
    try:
        decode(content, max_pixels=100_000, background=(0, 0, 0))
    except Refused:
        return "refused"
    return "read"


def fuzz(
    inputs: SearchStrategy[str] | SearchStrategy[bytes],
    reader: Callable[[str], str] | Callable[[bytes], str],
    seconds: float,
) -> Counter[str]:
    """Try inputs for a time; how many were read and how many refused.

    Raises:
        Exception: what the reader must not raise, with the input in its notes.
    """
    outcomes: Counter[str] = Counter()
    until, batch = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        batch += 1

        @seed(batch)
        @settings(
            max_examples=BATCH, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(inputs)
        def try_some(content: object) -> None:
            outcomes[reader(content)] += 1  # type: ignore[arg-type]

        try_some()
    return outcomes


def main() -> None:
    """Half of the time for each reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    half = parser.parse_args().seconds / 2
    print("params.yaml:", dict(fuzz(damaged_params(), try_params, half)))
    print("pictures:", dict(fuzz(damaged(PICTURES), try_picture, half)))


if __name__ == "__main__":
    main()
