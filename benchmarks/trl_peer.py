"""TRL's SFTTrainer beside this engine: ``python -m benchmarks.trl_peer``.

Both fine-tune the same decoder on the same answers in the same order: first twenty AdamW updates,
whose parameters are compared; then whole trainings with other seeds, whose validation losses are
compared (paired by seed, both measured by this engine, as transformers' own is a mean over
batches); and their wall times, in turns, as a ratio. SFTTrainer is given the tokens and labels of
this engine, beside which its own are counted; it computes as it does by itself: its own model,
attention, data loader and metrics, evaluation after every epoch. Activations are kept, where its
default computes them twice, and all is in single precision. Prints Markdown; writes nothing outside
of a temporary folder.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.definitions import MAX_TOKENS, SMALL, SMOLLM2, TASK, definitions
from benchmarks.shipped import with_fewer
from benchmarks.trainer_peer import Ordered
from sftcore.data.store import Store
from sftcore.evaluation.frozen import frozen_network
from sftcore.evaluation.speaking import speaker_of
from sftcore.foundations.runtime import set_up
from sftcore.foundations.turns import read_turns
from sftcore.metrics.intervals import paired_interval
from sftcore.models.settings import ModelSettings
from sftcore.models.text.answer_loss import COUNT, SUM
from sftcore.models.text.answer_tokens import ANSWER
from sftcore.models.text.files import find_files
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import fit
from sftcore.training.plan import Plan
from sftcore.training.recipe import prepare_training
from sftcore.training.settings import TrainSettings

NUM_UPDATES, BATCH_SIZE, RATE = 20, 8, 1e-3
CPU = torch.device("cpu")
IGNORED = -100  # label of a token that is not learnt


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        parameters: of the decoder by this engine's names.
        loss: on validation answers in nats a token, after the last epoch.
        seconds: of the training itself: weights are read and texts are tokenised before.
    """

    parameters: dict[str, Tensor]
    loss: float
    seconds: float


def settings(
    backbone: str, blocks: Any, schedule: str, epochs: int, part: int
) -> tuple[ModelSettings, TrainSettings]:
    """The recipe, without anything that SFTTrainer has not; a batch in parts of so many answers."""
    model = ModelSettings.model_validate({
        "backbone": backbone, "weights": "pretrained" if backbone == SMALL else "package",
        "trainable_blocks": blocks, "text": {"max_tokens": MAX_TOKENS, "hidden_dropout": 0.0},
    })  # fmt: skip
    recipe = TrainSettings.model_validate({
        "optimizer": "adamw", "learning_rate": RATE, "weight_decay": 0.0, "epochs": epochs,
        "batch_size": BATCH_SIZE, "micro_batch_size": part, "schedule": {"name": schedule},
        "guard": {"answers": "none"}, "selection": {"margin": 1e3},
        "range_test": {"enabled": False},
    })  # fmt: skip
    return model, recipe


def by_this_engine(store: Store, model: ModelSettings, recipe: TrainSettings, seed: int) -> Outcome:
    """Train as the pipeline does."""
    start, plan = prepare_training(
        store, model, recipe, task=TASK, seed=seed, device=CPU, measure_every=recipe.epochs
    )
    began = time.perf_counter()
    result = fit(start.network, plan, cache=FeatureCache(1 << 30), on_epoch=lambda record: None)
    seconds = time.perf_counter() - began
    return Outcome(result.chosen_state, result.history[-1].val_loss, seconds)


def by_trl(store: Store, model: ModelSettings, recipe: TrainSettings, seed: int) -> Outcome:
    """Train by SFTTrainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    start, plan = prepare_training(store, model, recipe, task=TASK, seed=seed, device=CPU)
    backbone: Any = start.network.backbone
    library: Any = AutoModelForCausalLM.from_config(backbone.model.config)
    library.model.load_state_dict(backbone.model.state_dict())
    trained = {
        name for name, parameter in start.network.named_parameters()
        if start.network.block_of(name) >= plan.phases[-1].first_block
        and not name.startswith("head.")
    }  # fmt: skip
    for name, parameter in library.named_parameters():
        parameter.requires_grad_(f"backbone.{name}" in trained)
    sets = [Dataset.from_list(_examples(plan, store.split(name))) for name in ("train", "val")]
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder, num_train_epochs=recipe.epochs,
            learning_rate=float(recipe.learning_rate), lr_scheduler_type=recipe.schedule.name,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=BATCH_SIZE, max_grad_norm=0.0, weight_decay=0.0,
            use_cpu=True, bf16=False, gradient_checkpointing=False, eval_strategy="epoch",
            save_strategy="no", report_to=[], disable_tqdm=True, logging_strategy="no", seed=seed,
            adam_epsilon=1e-8, optim="adamw_torch", max_length=None, pad_to_multiple_of=8,
        )  # fmt: skip

        class InOrder(SFTTrainer):
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                # Epoch 0 of this engine is the decoder as it came.
                return Ordered(store.split("train"), plan.seeds.order, first_epoch=1)

        trainer = InOrder(
            model=library, args=arguments, train_dataset=sets[0], eval_dataset=sets[1],
            processing_class=_tokenizer(model),
        )  # fmt: skip
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    parameters = {f"backbone.{n}": p.detach().clone() for n, p in library.named_parameters()}
    return Outcome(parameters, _loss(store, model, parameters), seconds)


def _tokenizer(model: ModelSettings) -> Any:
    from transformers import AutoTokenizer

    files = find_files(model.backbone, model.weights)
    tokenizer = AutoTokenizer.from_pretrained(files.folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _examples(plan: Plan, rows: np.ndarray) -> list[dict[str, Any]]:
    tokens: Any = plan.examples.tokens  # type: ignore[attr-defined]
    found = []
    for row in rows:
        own = slice(tokens.offsets[row], tokens.offsets[row + 1])
        ids = tokens.ids[own].astype(np.int64)
        labels = np.where(tokens.parts[own] == ANSWER, ids, IGNORED)
        found.append({"input_ids": ids.tolist(), "labels": labels.tolist()})
    return found


def _loss(store: Store, model: ModelSettings, parameters: dict[str, Tensor]) -> float:
    frozen = frozen_network(model, num_outputs=0, image_size=0, seed=0, device=CPU, goes_on=True)
    frozen.network.load_state_dict(frozen.network.state_dict() | parameters)
    speaker = speaker_of(frozen.network, frozen.sight)
    assert speaker is not None
    sums = speaker.sums(list(store.read(store.split("val"))))
    return float(sums[:, SUM].sum() / sums[:, COUNT].sum())


def unequal(first: dict[str, Tensor], second: dict[str, Tensor]) -> str:
    """``‖θ − θ'‖/‖θ‖`` of all parameters together and of the tensor where it is greatest."""
    assert set(second) <= set(first)
    squares = {
        name: ((first[name] - other).double().square().sum(), other.double().square().sum())
        for name, other in second.items()
    }
    whole = sum(float(of[0]) for of in squares.values()) / sum(
        float(of[1]) for of in squares.values()
    )
    each = {name: float((of[0] / of[1].clamp(min=1e-24)).sqrt()) for name, of in squares.items()}
    worst = max(each, key=each.__getitem__)
    return f"{whole**0.5:.1e} over all parameters; at most {each[worst]:.1e} ({worst})"


def same_tokens(store: Store, model: ModelSettings, recipe: TrainSettings) -> str:
    """How many dialogues SFTTrainer itself would make the same tokens and labels of."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    start, plan = prepare_training(store, model, recipe, task=TASK, seed=0, device=CPU)
    backbone: Any = start.network.backbone
    rows = store.split("train")
    turns = [read_turns(content) for content in store.read(rows)]
    said = [[{"role": role, "content": text} for role, text in dialogue] for dialogue in turns]
    data = Dataset.from_list([{"prompt": of[:-1], "completion": of[-1:]} for of in said])
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_config(backbone.model.config),
            args=SFTConfig(
                output_dir=folder, use_cpu=True, bf16=False, report_to=[], max_length=None
            ),
            train_dataset=data, processing_class=_tokenizer(model),
        )  # fmt: skip
        prepared: Any = trainer.train_dataset
        theirs = list(prepared)
    ours = _examples(plan, rows)

    def learnt(example: dict[str, Any]) -> list[int]:
        return [label for label in example["labels"] if label != IGNORED]

    ids = labels = more = 0
    for own, other in zip(ours, theirs, strict=True):
        ids += own["input_ids"] == other["input_ids"][: len(own["input_ids"])]
        labels += learnt(own) == learnt(other)[: len(learnt(own))]
        more += len(learnt(other)) - len(learnt(own))
    return (
        f"of {len(ours)} dialogues {ids} have the same tokens up to the answer's end, {labels} "
        f"learn the same up to there; SFTTrainer alone learns {more} tokens behind it"
    )


def compare(
    store: Store, model: ModelSettings, recipe: TrainSettings, seeds: Sequence[int]
) -> None:
    """Print a row: losses and times of whole trainings, in turns."""
    pairs = [
        (by_this_engine(store, model, recipe, seed), by_trl(store, model, recipe, seed))
        for seed in seeds
    ]
    differences = [own.loss - other.loss for own, other in pairs]
    found = paired_interval(differences, 0.95) if len(pairs) > 1 else None
    shown = f" [{found.low:+.4f}, {found.high:+.4f}]" if found else ""
    ratios = sorted(own.seconds / other.seconds for own, other in pairs)
    of_own, of_other = (np.mean([pair[k].loss for pair in pairs]) for k in (0, 1))
    seconds = np.median([own.seconds for own, _ in pairs])
    print(
        f"| {Path(model.backbone).name} | {model.trainable_blocks} | {recipe.epochs} | "
        f"{len(pairs)} | {of_own:.4f} | {of_other:.4f} | "
        f"{np.mean(differences):+.4f}{shown} | {seconds:.0f} s | "
        f"{np.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
        flush=True,
    )


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--part", type=int, default=4, help="answers of a batch at once; 0 is all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decoder", choices=("small", "smollm2"), default="small")
    options = parser.parse_args()
    set_up("cpu", options.threads)
    backbone = {"small": SMALL, "smollm2": SMOLLM2}[options.decoder]
    blocks: Any = {"small": "all", "smollm2": 2}[options.decoder]
    with definitions() as store:
        few = with_fewer(store, NUM_UPDATES * BATCH_SIZE)
        model, recipe = settings(backbone, blocks, "constant", 1, options.part)
        if backbone == SMOLLM2:  # which has a template of its own
            print(same_tokens(few, model, recipe))
        own, other = (by(few, model, recipe, 0) for by in (by_this_engine, by_trl))
        print(f"{NUM_UPDATES} updates: relative difference of parameters "
              f"{unequal(own.parameters, other.parameters)}")  # fmt: skip
        print("\n| decoder | trained blocks | epochs | seeds | loss | TRL's | difference | time | "
              "as part of TRL's |")  # fmt: skip
        print("|---" * 9 + "|", flush=True)
        model, recipe = settings(backbone, blocks, "linear", options.epochs, options.part)
        compare(store, model, recipe, range(options.seeds))


if __name__ == "__main__":
    main()
