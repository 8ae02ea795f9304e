"""Shapes of the literature on fine-tuned language models: ``python -m benchmarks.answer_shapes``.

``lora``: LoRA learns less and forgets less (Biderman et al., 2024), each at its own best rate.
``noise``: noise on the embeddings (Jain et al., 2024, NEFTune) and prompts that weigh in the loss
(Huerta-Enochian and Ko, 2024; Shi et al., 2024): the training loss is higher, and the validation
loss is not. ``repeats``: few answers many times against many answers few times, at equal updates
(arXiv 2602.11149: repetition wins on long chains of thought). ``decay``: weight decay against what
is learnt by heart, by the exposure of planted codes (Carlini et al., 2019).

Every row is trained from the same weights with several seeds, which decide order, dropout and the
planted codes. Learnt is the loss on validation answers after the last epoch; forgotten is the rise
of the loss on a fixed text that is no part of any data. Prints Markdown tables; writes nothing.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.definitions import MAX_TOKENS, SMALL, TASK, definitions
from benchmarks.shipped import with_fewer
from sftcore.data.dialogues.canaries import canaries
from sftcore.data.store import Store
from sftcore.evaluation.frozen import frozen_network
from sftcore.evaluation.speaking import speaker_of
from sftcore.foundations.runtime import set_up
from sftcore.foundations.turns import TEXT, write_turns
from sftcore.metrics.intervals import paired_interval
from sftcore.models.settings import ModelSettings
from sftcore.models.text.answer_loss import COUNT, SUM
from sftcore.tasks.causal_lm.asked import FOREIGN_TEXT
from sftcore.tasks.causal_lm.exposure import exposure
from sftcore.tasks.finished import Speaker
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.settings import TrainSettings

CPU = torch.device("cpu")
NUM_EPOCHS, NUM_CANARIES = 4, 16
RATES = (3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class Row:
    """A recipe.

    Attributes:
        name: in the table.
        model: changes of the section.
        train: likewise.
        num_answers: that are trained on; 0 is all.
    """

    name: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    num_answers: int = 0


def _lora(rank: int) -> Row:
    return Row(f"LoRA of rank {rank}", {"lora": {"rank": rank}}, {})


def _repeats(num_answers: int, epochs: int) -> Row:
    return Row(f"{num_answers} answers, {epochs} epochs", {}, {"epochs": epochs}, num_answers)


def _decay(of: float) -> Row:
    recipe = {"weight_decay": of, "epochs": 8, "canaries": NUM_CANARIES}
    return Row(f"weight decay {of:g}", {}, recipe)


SHAPES: Mapping[str, tuple[Sequence[float], Sequence[Row]]] = {
    "lora": (RATES, [Row("all weights", {}, {}), _lora(8), _lora(32)]),
    "noise": (
        RATES[1:3],
        [
            Row("none", {}, {}),
            Row("noise of 5", {}, {"embeddings": {"noise": 5.0}}),
            Row("prompts weigh 0.1", {}, {"prompt_weight": 0.1}),
            Row("prompts weigh 1", {}, {"prompt_weight": 1.0}),
        ],
    ),
    "repeats": (
        RATES[:2], [_repeats(192, 4), _repeats(96, 8), _repeats(48, 16), _repeats(16, 48)],
    ),
    "decay": (RATES[1:2], [_decay(of) for of in (0.0, 0.1, 1.0, 10.0)]),
}  # fmt: skip


@dataclass(frozen=True)
class Came:
    """What a training came to; losses in nats a token of an answer.

    Attributes:
        train_loss: after the last epoch, on the training answers as they are.
        val_loss: after the last epoch.
        best_val_loss: after the best one.
        val_accuracy: part of the tokens that are the likeliest, after the last.
        foreign_loss: on the fixed text.
        exposure: of planted codes, in bits; NaN where none is planted.
    """

    train_loss: float
    val_loss: float
    best_val_loss: float
    val_accuracy: float
    foreign_loss: float
    exposure: float


def foreign_loss(speaker: Speaker) -> float:
    """Nats a token on the fixed text."""
    lines = [line for line in FOREIGN_TEXT.read_text(encoding="utf-8").splitlines() if line]
    sums = speaker.sums([write_turns([(TEXT, line)]) for line in lines])
    return float(sums[:, SUM].sum() / sums[:, COUNT].sum())


def one(store: Store, row: Row, rate: float, seed: int, common: Mapping[str, Any]) -> Came:
    """One training."""
    text = {"max_tokens": MAX_TOKENS, "hidden_dropout": 0.0}
    model = ModelSettings.model_validate({**common["model"], **row.model, "text": text})
    recipe = TrainSettings.model_validate({
        "optimizer": "adamw", "learning_rate": rate, "weight_decay": 0.0, "epochs": NUM_EPOCHS,
        "batch_size": 16, "micro_batch_size": 8, "schedule": {"name": "cosine"},
        "guard": {"answers": "none"}, "range_test": {"enabled": False},
        "selection": {"margin": 1e3}, **row.train,  # the last epoch is what a training ends with
    })  # fmt: skip
    if row.num_answers:
        store = with_fewer(store, row.num_answers, seed)
    trained = train(
        store, model, recipe, task=TASK, seed=seed, device=CPU, cache=FeatureCache(1 << 30),
        on_epoch=lambda record: None, measure_every=recipe.epochs,
    )  # fmt: skip
    frozen = frozen_network(model, num_outputs=0, image_size=0, seed=seed, device=CPU, goes_on=True)
    frozen.network.load_state_dict(trained.result.chosen_state)
    speaker = speaker_of(frozen.network, frozen.sight)
    assert speaker is not None
    last = trained.result.history[-1]
    planted = canaries(recipe.canaries, seed)
    return Came(
        last.train_loss,
        last.val_loss,
        min(record.val_loss for record in trained.result.history),
        last.scores["val_token_accuracy"],
        foreign_loss(speaker),
        exposure(planted, speaker)["exposure"] if planted else float("nan"),
    )


def table(
    store: Store, shape: str, seeds: Sequence[int], common: Mapping[str, Any], words: str
) -> None:
    """Print all rows of a shape; then each at its best rate against the first at its own."""
    rates, rows = SHAPES[shape]
    rates = common["rates"] or rates
    before = as_it_came(store, common)
    print(f"\n{shape}: as it came, {before.val_loss:.3f} on validation answers\n")
    print("| row | rate | training loss | learnt | at the best epoch | token accuracy | forgotten "
          "| exposure, bits |")  # fmt: skip
    print("|---" * 8 + "|", flush=True)
    best: dict[str, list[Came]] = {}
    for row in (row for row in rows if words in row.name):
        for rate in rates:
            found = [one(store, row, rate, seed, common) for seed in seeds]
            print(f"| {row.name} | {rate:g} | {_shown(found, before)} |", flush=True)
            usual = best.get(row.name)
            if usual is None or _mean(found, "val_loss") < _mean(usual, "val_loss"):
                best[row.name] = found
    compare(best)


def compare(best: Mapping[str, Sequence[Came]]) -> None:
    """Print what each row at its best rate has over the first, paired by seed."""
    (first, usual), *others = best.items()
    print(
        f"\nEach at its rate of the lowest validation loss, minus {first}, 95 %, paired by seed:\n"
    )
    for name, found in others:
        parts = []
        for of in ("train_loss", "val_loss", "foreign_loss"):
            pairs = zip(found, usual, strict=True)
            interval = paired_interval([getattr(a, of) - getattr(b, of) for a, b in pairs], 0.95)
            parts.append(f"{of} {interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]")
        print(f"- {name}: {'; '.join(parts)}", flush=True)


def as_it_came(store: Store, common: Mapping[str, Any]) -> Came:
    """The model before any update."""
    row = Row("as it came", {}, {"epochs": 1})
    return one(store, row, 1e-30, 0, common)


def _shown(found: Sequence[Came], before: Came) -> str:
    columns = {of: np.array([getattr(came, of) for came in found]) for of in Came.__annotations__}
    columns["foreign_loss"] = columns["foreign_loss"] - before.foreign_loss
    return " | ".join(
        "" if np.isnan(of).any() else f"{of.mean():.3f} ± {of.std(ddof=1):.3f}"
        for of in columns.values()
    )


def _mean(found: Sequence[Came], of: str) -> float:
    return float(np.mean([getattr(came, of) for came in found]))


def main() -> None:
    """Print the tables, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES), help=", ".join(SHAPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default=SMALL)
    parser.add_argument("--trainable-blocks", default="all", help="all, or a number")
    parser.add_argument("--rates", type=float, nargs="+", default=[])
    parser.add_argument("--rows", default="", help="only those whose names hold these words")
    options = parser.parse_args()
    set_up("cpu", 1)
    blocks = options.trainable_blocks
    weights = "pretrained" if options.backbone == SMALL else "package"
    common = {
        "model": {
            "backbone": options.backbone, "weights": weights,
            "trainable_blocks": int(blocks) if blocks.isdigit() else blocks,
        },
        "rates": options.rates,
    }  # fmt: skip
    with definitions() as store:
        for shape in options.shapes:
            table(store, shape, range(options.seeds), common, options.rows)


if __name__ == "__main__":
    main()
