"""From a file of prompts and answers to a model, its report, answers, and other programs."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.models import Model

from sftcore.data.store import open_store
from sftcore.evaluation.predict import load_model
from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DataError, ParamsError, WeightsError
from sftcore.pipeline.ablate import ablate
from sftcore.pipeline.advice import take_advice
from sftcore.pipeline.check import check
from sftcore.pipeline.evaluate import EvaluateParams, evaluate
from sftcore.pipeline.export import export
from sftcore.pipeline.finetune import finetune
from sftcore.pipeline.labels import LabelsParams, audit_labels
from sftcore.pipeline.paths import ABLATION_REPORT, EVALUATE_REPORT, MODEL, PREPARED, REPORT
from sftcore.pipeline.predict import PredictOptions, predict
from sftcore.pipeline.prepare import PrepareParams, prepare_and_show
from sftcore.pipeline.report import ReportParams, write_page
from sftcore.pipeline.summary import answers
from sftcore.pyfunc_model import save_model
from sftcore.reporting.parts import read_parts
from sftcore.settings.reading import load_sections
from sftcore.settings.studies import load_with_study
from sftcore.use.reading import ReadingOptions
from tests.models.text.tiny import WORDS
from tests.models.text.tiny_decoder import write_decoder
from tests.training.test_loop import ROOT

COUNT = 60
PARAMS = """
task: causal_lm
data: {path: mine}
model:
  backbone: transformers/%s
  weights: pretrained
  trainable_blocks: 2
  text: {hidden_dropout: 0.0, max_tokens: 40}
train:
  epochs: 6
  learning_rate: 0.01
  batch_size: 8
  optimizer: adamw
  canaries: 2
  augmentation: {strength: 0.0}
evaluate: {num_bootstrap: 100, answers: {num_prompts: 5, most_tokens: 8}}
ablation: {study: mine}
runtime: {device: cpu, num_threads: 1, num_workers: 1}
tracking: {enabled: false}
"""
STUDY = """
stand_in: {model.backbone: transformers/%s, train.epochs: 8}
screen:
  num_replicates: 2
  base: {}
  rows: {none: {}, prompts: {train.prompt_weight: 0.5}}
  all_together: []
  leave_one_out: false
confirm: {num_replicates: 2, num_rows: 1}
data_size: null
stability: null
"""


def write_dialogues(file: Path) -> list[dict[str, str]]:
    """Words to be said backwards."""
    stream = np.random.default_rng(0)
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < COUNT:
        words = [str(word) for word in stream.choice(WORDS, stream.integers(3, 7))]
        prompt = " ".join(words) + " ?"
        rows[prompt] = {"prompt": prompt, "completion": " ".join(words[::-1])}
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows.values()))
    return list(rows.values())


def sections(of: Any) -> Any:
    return load_sections(of, Path("params.yaml"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, str]]]:
    """A project in the working directory, run from its data to its page."""
    root = tmp_path_factory.mktemp("causal_lm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("SFT_SCRATCH", str(root / "scratch"))
        for name in ("requirements.lock", "dvc.yaml"):
            Path(name).write_bytes((ROOT / name).read_bytes())
        own, other = write_decoder(root / "decoder"), write_decoder(root / "other", seed=2)
        Path("params.yaml").write_text(PARAMS % own)
        Path("studies").mkdir()
        Path("studies/mine.yaml").write_text(STUDY % other)
        dialogues = write_dialogues(Path("mine/d.jsonl"))
        params = load_with_study()
        check(params)
        prepare_and_show(sections(PrepareParams))
        audit_labels(sections(LabelsParams))
        finetune(params)
        evaluate(sections(EvaluateParams))
        ablate(params)
        write_page(sections(ReportParams))
        yield dialogues


def library(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def test_the_numbers_are_those_of_the_library(rows: list[dict[str, str]], tmp_path: Path) -> None:
    """Losses of the exported model by the library alone, tokens and template included."""
    list(export(tmp_path / "out"))
    model, tokenizer = library(tmp_path / "out")
    found = pd.read_csv(EVALUATE_REPORT / "predictions.csv").set_index("id")
    for number in (0, 17, 59):
        row = rows[number]
        messages = [{"role": "user", "content": row["prompt"]}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        messages.append({"role": "assistant", "content": row["completion"]})
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
        before = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        # Its words and the token that ends it; what the template puts behind is not learnt.
        count = len(row["completion"].split()) + 1
        with torch.no_grad():
            logits = model(ids).logits[0]
        losses = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
        own = losses[before - 1 : before - 1 + count]
        line = found.loc[f"d.jsonl/{number:06d}"]
        assert line["num_tokens"] == count
        assert line["loss"] == pytest.approx(float(own.mean()), abs=1e-5)
    metrics = read_json(EVALUATE_REPORT / "metrics.json")
    test = found[found["split"] == "test"]
    mean = np.average(test["loss"], weights=test["num_tokens"])
    assert metrics["test"]["perplexity"] == pytest.approx(np.exp(mean), rel=1e-5)
    assert metrics["test"]["num_tokens"] == test["num_tokens"].sum()


def test_it_learnt_and_the_rows_to_beat_are_there(rows: list[dict[str, str]]) -> None:
    metrics = read_json(EVALUATE_REPORT / "metrics.json")
    assert set(metrics["baselines"]) == {
        "token_frequencies", "as_it_came", "three_examples_in_the_prompt",
    }  # fmt: skip
    assert metrics["worth"]["test_perplexity_low"] > 0
    assert "val_perplexity" not in metrics["baselines"]["three_examples_in_the_prompt"]
    history = pd.read_csv("reports/finetune/history.csv")
    assert history["phase"].tolist() == ["start", *["full"] * 6]
    came = metrics["baselines"]["as_it_came"]["val_loss"]
    assert history["val_loss"].iloc[0] == pytest.approx(came, abs=1e-6)
    said = pd.read_csv(EVALUATE_REPORT / "answers.csv", na_filter=False)
    assert len(said) == metrics["answers"]["num_prompts"] == 5
    assert (said["before"] != said["after"]).any()
    assert metrics["answers"]["ended"] == pytest.approx(said["has_ended"].mean())
    by_heart = pd.read_csv(EVALUATE_REPORT / "answers_in_training.csv", na_filter=False)
    splits = pd.read_csv(EVALUATE_REPORT / "predictions.csv").set_index("id")["split"]
    assert set(splits[said["id"]]) == {"test"}
    assert set(splits[by_heart["id"]]) == {"train"}
    assert metrics["foreign_text"]["num_paragraphs"] > 10
    assert metrics["canaries"]["num_canaries"] == 2
    assert 0 <= metrics["canaries"]["exposure"] <= metrics["canaries"]["most"] == 6


def test_the_page_says_what_was_found(rows: list[dict[str, str]]) -> None:
    page = html.unescape(REPORT.read_text())
    assert "Fine-tuning on the answers of 60 dialogues" in page
    for folder in (EVALUATE_REPORT, ABLATION_REPORT, Path("reports/prepare")):
        for part in read_parts(folder):
            assert part.title in page
            for table in part.tables:
                assert set(table.columns) <= set(pd.read_csv(folder / table.file).columns)
    assert "Answers before and after" in page
    assert "picture" not in page.lower().replace("pictures/", "")
    labels = read_parts(Path("reports/labels"))[0].text[0]
    assert labels.startswith("Labels that may be wrong: not looked for in these data, since an ans")


def test_a_study_of_another_network_speaks_of_that_one(rows: list[dict[str, str]]) -> None:
    verdict = read_json(ABLATION_REPORT / "verdict.json")
    assert verdict["stand_in"] == (
        "The study trained other in place of your network, and speaks of that one alone."
    )
    assert verdict["settings"] == {}
    lines = answers()
    assert lines[1] == verdict["stand_in"]
    assert all(len(line) < 100 for line in lines)
    assert "the model as it came" in lines[2]
    cells = pd.read_csv(ABLATION_REPORT / "cells.csv")
    assert set(cells["row"]) == {"none", "prompts", "probe", "token_frequencies"}
    before = Path("params.yaml").read_bytes()
    (line,) = take_advice()
    assert line.startswith(f"nothing to take: {verdict['stand_in']}")
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["stand_in: {model.other: 1}", "stand_in: {train.epochs: -1}"])
def test_a_wrong_stand_in_is_refused_before_anything_is_trained(
    rows: list[dict[str, str]], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    text = Path("studies/mine.yaml").read_text().splitlines()[2:]
    (tmp_path / "studies" / "mine.yaml").write_text("\n".join([name, *text]))
    with pytest.raises(ParamsError, match="stand_in"):
        load_with_study(tmp_path / "params.yaml")


def asked(out: str, *inputs: str, **options: Any) -> pd.DataFrame:
    lines = list(
        predict(PredictOptions(inputs, Path(out), device="cpu", reading=ReadingOptions(**options)))
    )
    assert lines[0].startswith(f"wrote {out}: ")
    return pd.read_csv(out, na_filter=False)


def test_prompts_of_every_form_get_the_librarys_answer(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    list(export(tmp_path / "out"))
    model, tokenizer = library(tmp_path / "out")
    prompts = [row["prompt"] for row in rows[:3]]
    wanted = []
    for prompt in prompts:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            whole = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8,
                pad_token_id=2, eos_token_id=2,
            )  # fmt: skip
        wanted.append(tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True).strip())
    pd.DataFrame({"prompt": prompts, "completion": "never looked at"}).to_csv("p.csv", index=False)
    lines = [json.dumps({"messages": [{"role": "user", "content": prompt}]}) for prompt in prompts]
    Path("m.jsonl").write_text("\n".join(lines))
    pd.DataFrame({"asked": prompts}).to_csv("c.csv", index=False)
    Path("one.txt").write_text(prompts[0])
    for table, options in (("p.csv", {}), ("m.jsonl", {}), ("c.csv", {"column": "asked"})):
        found = asked("out.csv", table, max_tokens=8, **options)
        assert found["answer"].tolist() == wanted
        assert {"distance", "unlike", "has_ended", "num_tokens"} <= set(found.columns)
    assert asked("out.csv", "one.txt", max_tokens=8)["answer"].tolist() == wanted[:1]
    drawn = [asked("d.csv", "p.csv", max_tokens=8, temperature=2.0, seed=seed)["answer"].tolist()
             for seed in (1, 1, 2)]  # fmt: skip
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != wanted


def test_what_cannot_be_answered_is_a_row_with_its_reason(rows: list[dict[str, str]]) -> None:
    turns = [{"role": "system", "content": "red"}]
    Path("bad.jsonl").write_text(
        "\n".join(json.dumps({"messages": of}) for of in (turns, "no list", [{"role": "king"}]))
    )
    found = asked("out.csv", "bad.jsonl")
    assert found["answer"].tolist() == [""] * 3
    assert found["reason"].str.split(":").str[0].tolist() == [
        "empty prompt", "not a dialogue", "unknown role",
    ]  # fmt: skip
    with pytest.raises(ParamsError, match="--max-pixels means nothing for a model of dialogues"):
        asked("out.csv", "bad.jsonl", max_pixels=3)


def test_the_logged_model_answers_without_pickle(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    save_model(tmp_path / "logged", MODEL, Model())
    suffixes = {path.suffix for path in (tmp_path / "logged").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pth", ".bin"}
    loaded: Any = mlflow.pyfunc.load_model(str(tmp_path / "logged"))
    prompts = [row["prompt"] for row in rows[:3]]
    pd.DataFrame({"prompt": prompts}).to_csv("p.csv", index=False)
    wanted = asked("out.csv", "p.csv", max_tokens=8)["answer"].tolist()
    messages = [[{"role": "user", "content": prompt}] for prompt in prompts]
    for given in (prompts, pd.DataFrame({"prompt": prompts}), {"prompt": prompts}, messages):
        found = loaded.predict(given, params={"max_tokens": 8})
        assert found["answer"].tolist() == wanted
        assert list(found.columns) == ["answer", "has_ended"]
    drawn = loaded.predict(prompts, params={"temperature": 2.0, "seed": 5, "max_tokens": 8})
    assert drawn["answer"].tolist() != wanted
    for given, reason in (([], "no prompt was given"), ([None], "prompt 0: empty"),
                          ([[]], "prompt 0: "), ([" "], "prompt 0: empty")):  # fmt: skip
        with pytest.raises(mlflow.MlflowException, match=reason):
            loaded.predict(given)
    with pytest.raises(mlflow.MlflowException, match="max_tokens should be at least 1"):
        loaded.predict(prompts, params={"max_tokens": 0})
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == ["prompt"]
    assert signature.outputs.input_names() == ["answer", "has_ended"]


def test_an_export_that_cannot_be_is_refused(rows: list[dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="is there already"):
        list(export(tmp_path))
    with pytest.raises(WeightsError, match="holds no fine-tuned model"):
        list(export(tmp_path / "new", tmp_path))


def test_the_model_brings_its_template_along(rows: list[dict[str, str]]) -> None:
    record = read_json(MODEL / "model.json")
    assert record["text"]["template"] == "own"
    assert (MODEL / "chat_template.jinja").is_file()
    assert load_model(MODEL).record.kind == "dialogues"
    assert open_store(PREPARED, ("train", "val")).kind == "dialogues"


def test_data_of_another_kind_are_named(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_with_study()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "t.csv").write_text("text,label\na b,x\nc d,y\n")
    of_pictures = params.model_copy(
        update={
            "task": "classification",
            "data": params.data.model_copy(update={"path": "mine"}),
        }
    )
    with pytest.raises(DataError, match="or task to causal_lm"):
        check(of_pictures)
