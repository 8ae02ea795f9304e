"""Dialogues from tables of every layout, judged turn by turn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sftcore.data.dialogues.kind import DialogueKind
from sftcore.data.prepare import prepare
from sftcore.data.store import open_store
from sftcore.data.targets.target import Target
from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import read_turns

STREAM = np.random.default_rng(0)
WORDS = ["stone", "river", "green", "seven", "lamp", "under", "quick", "house", "paper", "wind"]


def line() -> str:
    return " ".join(str(word) for word in STREAM.choice(WORDS, 9))


PAIRS = [(line(), line()) for _ in range(12)]
CHATS = [
    [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    for asked, answer in PAIRS
]
TURNS = [[("user", asked), ("assistant", answer)] for asked, answer in PAIRS]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, source: str = "auto", **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "max_refused_fraction": 1.0, "min_per_class": 3, "near_duplicate_distance": -1,
        "val_fraction": 0.25, "test_fraction": 0.25, "split_seed": 0,
    }  # fmt: skip
    return prepare(
        source=source, path=folder, table="t", kind=DialogueKind(1000), target=Target("answers"),
        output=folder.parent / "prepared", **{**options, **changes},
    )  # fmt: skip


def stored(folder: Path) -> list[list[tuple[str, str]]]:
    store = open_store(folder.parent / "prepared", ("train", "val", "test"))
    assert (store.kind, store.target, store.targets.shape) == (
        "dialogues", "answers", (len(store.samples), 0),
    )  # fmt: skip
    return [read_turns(content) for content in store.read()]


def frame(names: str, rows: Any = PAIRS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


LAYOUTS: dict[str, Any] = {
    "prompt and completion": lambda f: frame("prompt completion").to_csv(f / "t.csv", index=False),
    "question and answer": lambda f: frame("Question Answer").to_csv(
        f / "t.tsv", index=False, sep="\t"
    ),
    "instruction and output": lambda f: write_jsonl(
        f / "t.jsonl", [{"instruction": a, "input": "", "output": b} for a, b in PAIRS]
    ),
    "query and response": lambda f: frame("query response").to_parquet(f / "t.parquet"),
    "messages": lambda f: write_jsonl(f / "t.jsonl", [{"messages": chat} for chat in CHATS]),
    "messages as text": lambda f: pd.DataFrame(
        {"messages": [json.dumps(chat) for chat in CHATS]}
    ).to_csv(f / "t.csv", index=False),
    "messages in Parquet": lambda f: pd.DataFrame({"messages": CHATS}).to_parquet(f / "t.parquet"),
    "from and value": lambda f: write_jsonl(
        f / "t.jsonl",
        [
            {"conversations": [{"from": "human", "value": a}, {"from": "gpt", "value": b}]}
            for a, b in PAIRS
        ],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_turns(folder: Path, layout: str) -> None:
    LAYOUTS[layout](folder)
    summary = run(folder)
    assert summary["num_dialogues"] == len(PAIRS)
    assert summary["splits"] == {"train": 6, "val": 3, "test": 3}
    assert sorted(stored(folder)) == sorted(TURNS)


def test_texts_without_a_prompt_are_learnt_whole(folder: Path) -> None:
    pd.DataFrame({"text": [text for text, _ in PAIRS]}).to_csv(folder / "t.csv", index=False)
    run(folder)
    assert sorted(stored(folder)) == sorted([("text", text)] for text, _ in PAIRS)


def test_context_and_system_join_the_prompt(folder: Path) -> None:
    rows = [
        {"system": "be short", "instruction": a, "input": "of a stone", "output": b}
        for a, b in PAIRS
    ]
    write_jsonl(folder / "t.jsonl", rows)
    run(folder)
    assert sorted(stored(folder)) == sorted(
        [("system", "be short"), ("user", f"{a}\n\nof a stone"), ("assistant", b)] for a, b in PAIRS
    )


def test_splits_and_groups_of_the_table_are_kept(folder: Path) -> None:
    table = frame("prompt completion").assign(
        split=["train"] * 6 + ["val"] * 3 + ["test"] * 3, group=["g"] * 2 + [""] * 10
    )
    table.to_csv(folder / "t.csv", index=False)
    assert run(folder)["splits"] == {"train": 6, "val": 3, "test": 3}
    samples = open_store(folder.parent / "prepared", ("train",)).samples
    assert samples["group"].nunique() == 5


def chat(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty answer": ({"prompt": "a", "completion": " "}, "empty answer", "completion"),
    "empty prompt": ({"prompt": "", "completion": "a"}, "empty prompt", "answered"),
    "control": ({"prompt": "a", "completion": "b\x01"}, "control characters", "the completion"),
    "long": ({"prompt": "a" * 1001, "completion": "b"}, "over the character limit", "the prompt"),
    "number": ({"prompt": "a", "completion": 7}, "not a text", "holds a int"),
    "no list": ({"messages": "hello"}, "not a dialogue", "no JSON list"),
    "a mapping": ({"messages": {"role": "user"}}, "not a dialogue", "dict and no list"),
    "no message": ({"messages": ["hello"]}, "not a dialogue", "message 1 has no role"),
    "role": (chat(("tool", "a")), "unknown role", "message 1 is of 'tool'"),
    "no answer": (chat(("user", "a")), "no answer", "no message is of the assistant"),
    "order": (
        chat(("user", "a"), ("user", "b"), ("assistant", "c")), "turns out of order",
        "user then user then assistant",
    ),
    "answer first": (chat(("assistant", "a")), "turns out of order", "here assistant"),
    "nothing said": (chat(("user", "a"), ("assistant", None)), "empty", "message 2"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_row_of_the_audit(folder: Path, fault: str) -> None:
    row, reason, detail = FAULTS[fault]
    good: list[dict[str, Any]] = [{"messages": each} for each in CHATS]
    if "prompt" in row:
        good = [{"prompt": a, "completion": b} for a, b in PAIRS]
    write_jsonl(folder / "t.jsonl", [*good, row])
    summary = run(folder)
    assert summary["refused"] == {reason: 1}
    audit = pd.read_csv(folder.parent / "prepared" / "audit.csv")
    assert detail in audit["detail"].iloc[0]
    assert audit["id"].tolist() == ["t.jsonl/000012"]


def test_what_nobody_has_answered_is_left_out(folder: Path) -> None:
    chats = [{"messages": [*each, {"role": "user", "content": "more ?"}]} for each in CHATS]
    write_jsonl(folder / "t.jsonl", chats)
    run(folder)
    assert sorted(stored(folder)) == sorted(TURNS)


def test_near_duplicates_and_copies_are_found_by_what_is_said(folder: Path) -> None:
    changed = [(a, f"{b} indeed") for a, b in PAIRS[:3]]
    upper = [(f"  {a} ", b) for a, b in PAIRS[3:5]]
    frame("prompt completion", [*PAIRS, *changed, *upper]).to_csv(folder / "t.csv", index=False)
    summary = run(folder, near_duplicate_distance=40)
    assert summary["refused"] == {"same turns as another dialogue": 2}
    assert summary["near_duplicates"]["num_groups"] == 3
    samples = open_store(folder.parent / "prepared", ("train", "val", "test")).samples
    assert (samples.groupby("group")["split"].nunique() == 1).all()


def test_a_table_without_dialogues_says_what_is_wanted(folder: Path) -> None:
    frame("one two").to_csv(folder / "t.csv", index=False)
    with pytest.raises(DataError, match=r"(?s)no table with dialogues.*messages, or prompt and"):
        run(folder)
    frame("prompt question", PAIRS).assign(answer="x").to_csv(folder / "t.csv", index=False)
    assert run(folder)["num_dialogues"] == len(PAIRS), "prompt is the usual name"
    frame("question query", PAIRS).assign(answer="x").to_csv(folder / "t.csv", index=False)
    with pytest.raises(DataError, match="question, query could each be the prompt"):
        run(folder)


def test_class_folders_hold_no_dialogues(folder: Path) -> None:
    frame("prompt completion").to_csv(folder / "t.csv", index=False)
    with pytest.raises(DataError, match=r"data\.source: folder"):
        run(folder, source="folder")
