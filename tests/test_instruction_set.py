import platform
import subprocess
import sys

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
    mode: str, own: dict[str, str]
) -> None:
    code = (
        "import os; from sftcore.foundations.instruction_set import choose_instruction_set; "
        f"choose_instruction_set({mode!r}); print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    names = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    others = {name: value for name, value in environment().items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
        env=others | own,
    )  # fmt: skip
    expected = own.get("GOMP_SPINCOUNT") if own else "10000"
    assert done.stdout.strip() == str(expected)


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
