import os
import platform
import subprocess
import sys
from contextlib import nullcontext

import pytest

from reliability.instruction_sets import OUTSIDE, digest_elsewhere
from sftcore.foundations.instruction_set import choose_instruction_set
from tests.pipeline.project import environment

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="levels of x86-64")


@x86
def test_portable_numbers_do_not_depend_on_the_level_and_native_ones_do() -> None:
    levels = ("as it is", "ATen at its lowest", "OpenBLAS and NumPy at their lowest",
              "eight threads asked for")  # fmt: skip
    assert len({digest_elsewhere("portable", OUTSIDE[level]) for level in levels}) == 1
    lowest = OUTSIDE["ATen at its lowest"]
    assert digest_elsewhere("native", {}) != digest_elsewhere("native", lowest)


@x86
def test_it_must_come_before_the_libraries_have_chosen() -> None:
    with pytest.raises(RuntimeError, match="before"):
        choose_instruction_set("portable")
    choose_instruction_set("native")


@pytest.mark.parametrize("mode", ["portable", "native"])
@pytest.mark.parametrize(
    "own", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}], ids=str
)
def test_threads_that_wait_sleep_soon_unless_a_caller_says_otherwise(
    mode: str, own: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    # Of threads it must be said before torch is imported: here that is too late, and is refused.
    with pytest.raises(RuntimeError) if mode == "portable" else nullcontext():
        choose_instruction_set(mode)
    assert os.environ.get("GOMP_SPINCOUNT") == (own.get("GOMP_SPINCOUNT") if own else "10000")


@pytest.mark.parametrize(
    "stage",
    ["check", "prepare", "labels", "finetune", "evaluate", "ablate", "report", "summary"],
)
def test_stages_come_before(stage: str) -> None:
    """What is said of kernels and of garbage is said before anything large is imported."""
    code = f"import sys, stages.{stage}; assert not {{'numpy', 'torch'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_alone_is_held_in_a_process_that_has_numpy() -> None:
    for first, expected in (("numpy", "True"), ("torch", "False")):
        code = (
            f"import {first}; from sftcore.foundations.instruction_set import choose_for_torch; "
            "print(choose_for_torch('portable'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
            env=environment(),
        )  # fmt: skip
        assert done.stdout.strip() == expected
