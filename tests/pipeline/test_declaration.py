"""dvc.yaml against the code: exactly what a stage imports, and exactly the parameters it reads."""

import ast
from typing import Any

import pytest
from ruamel.yaml import YAML

from sftcore.foundations.runtime_settings import RuntimeSettings
from sftcore.pipeline.evaluate import EvaluateParams
from sftcore.pipeline.labels import LabelsParams
from sftcore.pipeline.prepare import PrepareParams
from sftcore.pipeline.report import ReportParams
from sftcore.settings.reading import Sections
from sftcore.settings.tree import Params
from tests.import_closure import ROOT, collapse, import_closure

STAGES = ("check", "prepare", "labels", "finetune", "evaluate", "ablate", "report")
# These change no output, so a change in them must re-run nothing.
UNDECLARED_ON_PURPOSE = {"tracking", "runtime.num_workers", "runtime.checkpoint_seconds"}


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")


def test_every_stage_is_here(pipeline: dict[str, Any]) -> None:
    assert tuple(pipeline["stages"]) == STAGES
    for stage in STAGES:
        assert pipeline["stages"][stage]["cmd"] == f"python -m stages.{stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_declared_code_is_the_import_closure(pipeline: dict[str, Any], stage: str) -> None:
    declared = [
        name for name in pipeline["stages"][stage]["deps"] if name.startswith(("sftcore", "stages"))
    ]
    expected = collapse(import_closure(stage))
    assert sorted(declared) == expected, "dvc.yaml should name:\n" + "\n".join(
        f"      - {name}" for name in expected
    )


# What a stage reads of params.yaml; the others read the whole.
SECTIONS: dict[str, type[Sections]] = {
    "prepare": PrepareParams,
    "labels": LabelsParams,
    "evaluate": EvaluateParams,
    "report": ReportParams,
}


def read_parameters(stage: str) -> set[str]:
    """Sections, and leaves of ``runtime``, that are read from the tree of params.yaml."""
    sections = SECTIONS.get(stage, Params).model_fields
    found: set[str] = set()
    for name in import_closure(stage):
        if not name.endswith(".py") or name == "sftcore/settings/tree.py":
            continue
        tree = ast.parse((ROOT / name).read_text())
        for node in ast.walk(tree):
            chain = attribute_chain(node)
            if chain[:1] == ["params"] and len(chain) > 1 and chain[1] in sections:
                found.add(".".join(chain[1:3] if chain[1] == "runtime" else chain[1:2]))
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called == "override" and "train" in sections:
                found |= {"model", "train"}  # rows change and resolve these two sections
            if called == "choose_kernels":
                found.add("runtime.mode")
    return found - {"runtime"}  # the inner part of a longer chain


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_stage_reads_no_section_that_it_does_not_use(stage: str) -> None:
    used = {name.partition(".")[0] for name in read_parameters(stage)}
    assert used == set(SECTIONS[stage].model_fields)


def attribute_chain(node: ast.AST) -> list[str]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return [node.id, *names[::-1]]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
        "load_params",
        "load_sections",
    ):
        return ["params", *names[::-1]]
    return []


@pytest.mark.parametrize("stage", STAGES[1:])
def test_declared_parameters_are_those_that_are_read(pipeline: dict[str, Any], stage: str) -> None:
    declared = set(pipeline["stages"][stage].get("params", ()))
    assert declared == read_parameters(stage) - UNDECLARED_ON_PURPOSE


def test_the_check_stage_sees_all_that_changes_a_number(pipeline: dict[str, Any]) -> None:
    runtime = {f"runtime.{name}" for name in RuntimeSettings.model_fields}
    everything = (set(Params.model_fields) - {"runtime"}) | runtime
    assert set(pipeline["stages"]["check"]["params"]) == everything - UNDECLARED_ON_PURPOSE


def test_every_stage_depends_on_the_environment_and_on_what_it_reads(
    pipeline: dict[str, Any],
) -> None:
    stages = pipeline["stages"]
    for stage in STAGES:
        assert "requirements.lock" in stages[stage]["deps"]
    reads = {
        "check": "${data.path}",
        "prepare": "reports/check.json",
        "labels": "data/prepared",
        "finetune": "data/prepared",
        "evaluate": "models/finetuned",
        "ablate": "studies/${ablation.study}.yaml",
        "report": "reports/ablation",
    }
    for stage, name in reads.items():
        assert name in stages[stage]["deps"]
    for stage in ("evaluate", "ablate"):
        assert "data/prepared" in stages[stage]["deps"]
    assert "studies/${ablation.study}.yaml" in stages["check"]["deps"]
    written = {out for stage in stages.values() for out in stage["outs"]}
    assert written - {"reports/check.json", "reports/report.html", "models/decision"} <= set(
        stages["report"]["deps"]
    )


def test_only_evaluate_opens_the_test_split() -> None:
    opened = {
        path.relative_to(ROOT).as_posix()
        for folder in ("sftcore", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "open_store"
        and any(isinstance(n, ast.Constant) and n.value == "test" for n in ast.walk(node))
    }
    assert opened == {"sftcore/pipeline/evaluate.py"}


def test_stages_are_thin() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 45, path.name


def test_the_lock_carries_hashes_and_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert any("--hash=sha256:" in line for line in lines)
    assert not [line for line in lines if "://" in line or line.startswith("--index")]
