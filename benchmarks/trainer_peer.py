"""transformers' Trainer beside this engine: ``python -m benchmarks.trainer_peer``.

Both fine-tune the same encoder with the same head on the same texts in the same order: first twenty
AdamW updates, whose parameters are compared; then whole trainings with other seeds, whose
validation accuracies are compared (paired by seed); and their wall times, in turns, as a ratio.
Trainer computes as it does by itself: its own model, attention and data loader, padding to
multiples of 8, evaluation after every epoch. This engine sorts a batch by length and computes it in
parts, which are padded less; and it measures the training texts after the first and the last epoch,
which Trainer does not. Prints Markdown; writes nothing outside of a
temporary folder.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.glosses import MINILM, TASK, glosses
from benchmarks.shipped import with_fewer
from sftcore.data.loader import epoch_order
from sftcore.data.store import Store
from sftcore.foundations.runtime import set_up
from sftcore.metrics.intervals import paired_interval
from sftcore.models.network import Network
from sftcore.models.settings import ModelSettings
from sftcore.models.text.files import find_files
from sftcore.models.text.tokens import Tokens, load_tokenizer
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import prepare_training, train
from sftcore.training.settings import TrainSettings

BATCH_SIZE, NUM_UPDATES, RATE = 32, 20, 3e-4
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        parameters: of encoder and head by this engine's names.
        accuracy: on validation, after the last epoch.
        seconds: of the whole training, the reading of weights left out.
    """

    parameters: dict[str, Tensor]
    accuracy: float
    seconds: float


def settings(
    trainable_blocks: Any, schedule: str, epochs: int, part: int
) -> tuple[ModelSettings, Any]:
    """The recipe, without anything that Trainer has not; a batch in parts of so many texts."""
    model = ModelSettings.model_validate({
        "backbone": MINILM, "trainable_blocks": trainable_blocks,
        "text": {"max_tokens": 64, "hidden_dropout": 0.0},
    })  # fmt: skip
    recipe = TrainSettings.model_validate({
        "optimizer": "adamw", "learning_rate": RATE, "weight_decay": 0.0, "epochs": epochs,
        "batch_size": BATCH_SIZE, "micro_batch_size": part, "schedule": {"name": schedule},
        "guard": {"answers": "none"},
        "head": {"method": "descend", "epochs": 0}, "selection": {"margin": 1e3},
        "range_test": {"enabled": False},
    })  # fmt: skip
    return model, recipe


def by_this_engine(store: Store, model: ModelSettings, recipe: TrainSettings, seed: int) -> Outcome:
    """Train as the pipeline does."""
    began = time.perf_counter()
    result = train(
        store, model, recipe, task=TASK, seed=seed, device=CPU, cache=FeatureCache(1 << 29),
        on_epoch=lambda record: None, measure_every=recipe.epochs,
    ).result  # fmt: skip
    seconds = time.perf_counter() - began
    return Outcome(result.chosen_state, result.history[-1].scores["val_accuracy"], seconds)


class Classifier(nn.Module):
    """transformers' own encoder, a mean over tokens, a linear head; with the loss for Trainer."""

    def __init__(self, start: Network, num_frozen: int) -> None:
        super().__init__()
        from transformers import AutoModel

        folder = find_files(MINILM, "package").folder
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self.encoder.config.hidden_dropout_prob = 0.0
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.head = nn.Linear(start.head.linear.in_features, start.head.linear.out_features)
        self.head.load_state_dict(start.head.linear.state_dict())
        frozen = [self.encoder.embeddings, *self.encoder.encoder.layer][:num_frozen]
        for module in frozen:
            module.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Any:
        """Loss and logits, as Trainer asks for them."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask[:, :, None].to(states.dtype)
        logits = self.head((states * mask).sum(dim=1) / mask.sum(dim=1))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def parameters_by_name(self) -> dict[str, Tensor]:
        """Under this engine's names."""
        encoder = {f"backbone.model.{n}": p for n, p in self.encoder.named_parameters()}
        return encoder | {f"head.linear.{n}": p for n, p in self.head.named_parameters()}


class Ordered(torch.utils.data.Sampler[int]):
    """The rows in the order of this engine, an epoch at each pass, from a first one on."""

    def __init__(self, rows: np.ndarray, seed: int, first_epoch: int = 0) -> None:
        self.rows, self.seed, self.epoch = rows, seed, first_epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(self.rows, self.seed, self.epoch)
        self.epoch += 1
        return iter(np.searchsorted(self.rows, order).tolist())


def by_trainer(store: Store, model: ModelSettings, recipe: TrainSettings, seed: int) -> Outcome:
    """Train by transformers' Trainer."""
    from transformers import (
        DataCollatorWithPadding,
        PreTrainedTokenizerFast,
        Trainer,
        TrainingArguments,
    )

    start, plan = prepare_training(store, model, recipe, task=TASK, seed=seed, device=CPU)
    classifier = Classifier(start.network, plan.phases[-1].first_block)
    files = find_files(MINILM, "package")
    own = load_tokenizer(files)
    padding = PreTrainedTokenizerFast(
        tokenizer_file=str(files.folder / "tokenizer.json"), pad_token="[PAD]"
    )
    began = time.perf_counter()
    tokens = own.encode(store.read(), model.text.max_tokens)
    sets = [_examples(store, tokens, store.split(name)) for name in ("train", "val")]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=recipe.epochs, learning_rate=RATE,
            lr_scheduler_type=recipe.schedule.name, per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=64, max_grad_norm=0.0, weight_decay=0.0, use_cpu=True,
            eval_strategy="epoch", save_strategy="no", report_to=[], disable_tqdm=True,
            logging_strategy="no", dataloader_num_workers=0, seed=seed, adam_epsilon=1e-8,
            optim="adamw_torch", remove_unused_columns=False, label_names=["labels"],
        )  # fmt: skip

        class InOrder(Trainer):
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                return Ordered(store.split("train"), plan.seeds.order)

        trainer = InOrder(
            model=classifier, args=arguments, train_dataset=sets[0], eval_dataset=sets[1],
            data_collator=DataCollatorWithPadding(padding, pad_to_multiple_of=8),
            compute_metrics=lambda of: {"accuracy": float(
                (np.asarray(of.predictions).argmax(axis=1) == of.label_ids).mean()
            )},
        )  # fmt: skip
        trainer.train()
        found = [each for each in trainer.state.log_history if "eval_accuracy" in each]
    seconds = time.perf_counter() - began
    parameters = {n: p.detach().clone() for n, p in classifier.parameters_by_name().items()}
    return Outcome(parameters, found[-1]["eval_accuracy"], seconds)


def _examples(store: Store, tokens: Tokens, rows: np.ndarray) -> list[dict[str, Any]]:
    ids = [tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]].tolist() for row in rows]
    return [
        {"input_ids": own, "attention_mask": [1] * len(own), "labels": int(label)}
        for own, label in zip(ids, store.labels[rows], strict=True)
    ]


def unequal(first: dict[str, Tensor], second: dict[str, Tensor]) -> str:
    """``‖θ − θ'‖/‖θ‖`` of all parameters together and of the tensor where it is greatest.

    A bias of an attention's keys shifts all scores of a query alike, so its gradient is zero but
    for rounding (of which Adam makes steps of full size); such biases are told apart.
    """
    assert set(second) <= set(first)
    squares = [((first[n] - o).double().square().sum(), o.double().square().sum())
               for n, o in second.items()]  # fmt: skip
    whole = float(sum(d for d, _ in squares) ** 0.5 / sum(o for _, o in squares) ** 0.5)
    each = {
        name: float((first[name] - other).norm() / other.norm().clamp(min=1e-12))
        for name, other in second.items()
    }
    worst = {
        is_key: max((n for n in each if n.endswith("key.bias") == is_key), key=each.__getitem__)
        for is_key in (False, True)
    }
    return (
        f"{whole:.1e} over all parameters; at most {each[worst[False]]:.1e} ({worst[False]}), and "
        f"of the keys' biases {each[worst[True]]:.1e}"
    )


def compare(store: Store, blocks: Any, epochs: int, part: int, seeds: Sequence[int]) -> None:
    """Print a row: accuracies and times of whole trainings, in turns."""
    model, recipe = settings(blocks, "linear", epochs, part)
    pairs = [
        (by_this_engine(store, model, recipe, seed), by_trainer(store, model, recipe, seed))
        for seed in seeds
    ]
    found = paired_interval([own.accuracy - other.accuracy for own, other in pairs], 0.95)
    ratios = sorted(own.seconds / other.seconds for own, other in pairs)
    of_own, of_other = (np.mean([pair[k].accuracy for pair in pairs]) for k in (0, 1))
    print(
        f"| {blocks} | {epochs} | {len(pairs)} | {of_own:.3f} | {of_other:.3f} | "
        f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] | "
        f"{np.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
        flush=True,
    )


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--part", type=int, default=8, help="texts of a batch at once; 0 is all")
    options = parser.parse_args()
    set_up("cpu", 1)
    with glosses() as store:
        few = with_fewer(store, NUM_UPDATES * BATCH_SIZE)
        model, recipe = settings("all", "constant", 1, options.part)
        own, other = (by(few, model, recipe, 0) for by in (by_this_engine, by_trainer))
        print(f"{NUM_UPDATES} updates: relative difference of parameters "
              f"{unequal(own.parameters, other.parameters)}")  # fmt: skip
        print("| trained blocks | epochs | seeds | accuracy | Trainer's | difference | "
              "time, as part of Trainer's |")  # fmt: skip
        print("|---" * 7 + "|", flush=True)
        for blocks in ("all", 2) if options.seeds else ():
            compare(store, blocks, options.epochs, options.part, range(options.seeds))


if __name__ == "__main__":
    main()
