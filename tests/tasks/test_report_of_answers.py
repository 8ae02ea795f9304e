"""The report of answers: rows to beat by hand, answers side by side, what was forgotten."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sftcore.data.dialogues.canaries import NUM_CODES, canaries
from sftcore.foundations.artifacts import read_json
from sftcore.foundations.turns import TEXT, Turn, read_turns, write_turns
from sftcore.metrics.foretelling import foretelling_metrics
from sftcore.reporting.parts import read_parts
from sftcore.tasks.causal_lm.asked import FOREIGN_TEXT
from sftcore.tasks.causal_lm.baselines import example_turns, rows_to_beat, token_frequencies
from sftcore.tasks.causal_lm.exposure import exposure
from sftcore.tasks.causal_lm.report import write_report
from sftcore.tasks.finished import Finished
from tests.tasks.finished import MEASURING, PLACES, MadeSpeaker, made_answers


def dialogues(split: str) -> list[str]:
    return list(made_answers()[0].examples[PLACES[split]])


def test_metrics_are_quotients_of_sums() -> None:
    sums = np.array([[6.0, 3, 1], [1.0, 1, 1], [0.0, 0, 0]])
    weights = np.array([[1, 1, 1], [2, 0, 0], [0, 0, 1]])
    found = foretelling_metrics(sums, weights)
    np.testing.assert_allclose(found.loss, [7 / 4, 2, np.nan])
    np.testing.assert_allclose(found.perplexity, np.exp([7 / 4, 2, np.nan]))
    np.testing.assert_allclose(found.token_accuracy, [1 / 2, 1 / 3, np.nan])
    for bad in (sums[:, :2], sums + np.inf):
        with pytest.raises(ValueError, match="finite and"):
            foretelling_metrics(bad, weights[:, :3])


def test_frequencies_count_training_answers_alone() -> None:
    train, val, test = (dialogues(split) for split in PLACES)
    speaker = MadeSpeaker(3.0)
    row = token_frequencies(train, val, test, speaker)
    characters = "".join(read_turns(content)[-1][1] for content in train).encode()
    everything = b"".join(read_turns(c)[-1][1].encode() for c in (*train, *val, *test))
    counts = np.bincount(np.frombuffer(characters, np.uint8), minlength=max(everything) + 1) + 1.0
    cost = -np.log(counts / counts.sum())
    for content, (loss, count, hits) in zip(test, row.test, strict=True):
        ids = np.frombuffer(read_turns(content)[-1][1].encode(), np.uint8)
        assert loss == pytest.approx(cost[ids].sum())
        assert (count, hits) == (len(ids), (ids == counts.argmax()).sum())
    assert len(row.val) == len(val)


def test_examples_in_the_prompt_are_three_training_dialogues() -> None:
    train = dialogues("train")
    turns = example_turns(train)
    assert [role for role, _ in turns] == ["user", "assistant"] * 3
    pairs = {tuple(read_turns(content)) for content in train}
    assert {tuple(turns[place : place + 2]) for place in (0, 2, 4)} <= pairs
    assert turns == example_turns(train[::-1]), "the order of the data has no say"
    assert example_turns([write_turns([(TEXT, "a")])] * 5) == []
    assert example_turns(train[:2]) == []


def test_without_prompts_no_examples_are_shown_and_nothing_is_asked() -> None:
    texts = [write_turns([(TEXT, f"text {n}")]) for n in range(6)]
    rows = rows_to_beat(texts[:2], texts[2:4], texts[4:], MadeSpeaker(3.0))
    assert [row.name for row in rows] == ["token_frequencies", "as_it_came"]


def report(tmp_path: Path, finished: Finished) -> dict[str, Any]:
    return write_report(finished, MEASURING, tmp_path / "report")


def test_answers_stand_side_by_side(tmp_path: Path) -> None:
    finished, _, _ = made_answers()
    metrics = report(tmp_path, finished)
    of = metrics["answers"]
    assert (of["num_prompts"], of["ended"], of["exact"], of["is_short"]) == (6, 0.5, 0.5, True)
    assert 0 < of["ended_low"] < 0.5 < of["ended_high"] < 1
    assert of["ended_before"] == 0.5
    table = pd.read_csv(tmp_path / "report" / "answers.csv", na_filter=False)
    ids = np.asarray(finished.ids)[PLACES["test"]]
    assert set(table["id"].str.removeprefix("'")) <= set(ids)
    assert table["wanted"].str.match(r"'=It is \d+\.").all(), "one line, and no formula"
    assert (table["before"] == table["after"]).all()
    words = " ".join(t for p in read_parts(tmp_path / "report") for t in p.text)
    assert "0.500 [" in words
    assert "word by word for 0.500 [" in words
    speaker = finished.before
    assert isinstance(speaker, MadeSpeaker)
    assert speaker.asked == 6, "the model as it came is asked of test alone"


def test_what_was_forgotten_is_a_difference_on_a_fixed_text(tmp_path: Path) -> None:
    finished, _, _ = made_answers()
    found = report(tmp_path, finished)["foreign_text"]
    assert found["num_paragraphs"] == len(FOREIGN_TEXT.read_text().splitlines())
    assert found["change"] == pytest.approx(-1.0)
    assert found["change_low"] == pytest.approx(-1.0)
    (part,) = [p for p in read_parts(tmp_path / "report") if p.title == "What it forgot"]
    assert part.text[0].count("-1.000 [-1.000, -1.000] nats a token: it improved.") == 1


def test_exposure_is_the_rank_of_the_planted_code_in_bits() -> None:
    planted = canaries(3, seed=5)
    assert planted == canaries(5, seed=5)[:3] != canaries(3, seed=6)
    assert len({code for of in planted for code in (of.code, *of.others)}) > 3 * NUM_CODES - 5

    class Ranked(MadeSpeaker):
        """Finds the planted code third, first and last of the three canaries' codes."""

        def sums(self, dialogues: Sequence[str], before: Sequence[Turn] = ()) -> np.ndarray:
            rank = (3, 1, NUM_CODES)[self.asked]
            self.asked += 1
            codes = {read_turns(content)[-1][1] for content in dialogues}
            assert len(codes) == len(dialogues) == NUM_CODES
            losses = np.arange(NUM_CODES, dtype=float)
            losses[0], losses[1:] = rank - 1.5, np.arange(NUM_CODES - 1)
            return np.column_stack([losses, losses, losses])

    found = exposure(planted, Ranked(0.0))
    assert found["num_first"] == 1
    assert found["exposure"] == pytest.approx((6 - np.log2(3) + 6 + 0) / 3, abs=1e-6)
    assert found["by_chance"] == pytest.approx(1.37, abs=0.05)


def test_texts_without_prompts_and_a_model_that_cannot_be_asked(tmp_path: Path) -> None:
    finished, _, _ = made_answers()
    texts = np.array([write_turns([(TEXT, f"text {n}")]) for n in range(200)], dtype=object)
    plain = Finished(**{**vars(finished), "examples": texts})
    metrics = write_report(plain, MEASURING, tmp_path / "texts")
    assert metrics["answers"] == {"num_prompts": 0}
    assert not (tmp_path / "texts" / "answers.csv").exists()
    silent = Finished(**{**vars(finished), "speaker": None, "before": None})
    metrics = write_report(silent, MEASURING, tmp_path / "silent")
    assert not {"answers", "foreign_text"} & metrics.keys()
    assert read_json(tmp_path / "silent" / "test.json")["test_perplexity"] > 1
