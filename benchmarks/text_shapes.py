"""Shapes of the literature on fine-tuned encoders: ``python -m benchmarks.text_shapes``.

Bias correction, warm-up and longer training against the spread over seeds and failed runs (Mosbach
et al., 2021, On the stability of fine-tuning BERT, sections 5 and 6: all three lower it);
re-initialised layers (Zhang et al., 2021); noise on the embeddings (Jain et al., 2024, NEFTune,
section 5.2: the training loss is higher, and the test loss lower or no higher); LoRA (Biderman et
al., 2024, LoRA learns less and forgets less, section 4.1: its training loss stays higher).

Every training has the same texts and another seed, which decides head and order, as in the papers.
All blocks are trained from the first update, with a random head. A run has failed if its validation
accuracy is no better than that of the most frequent class. Prints a Markdown table; writes nothing.
"""

import argparse
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.glosses import MINILM, TASK, glosses
from benchmarks.shipped import with_fewer
from sftcore.data.store import Store
from sftcore.foundations.runtime import set_up
from sftcore.models.settings import ModelSettings
from sftcore.optimization.optimizers import OPTIMIZERS
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import EpochRecord
from sftcore.training.settings import TrainSettings

UNCORRECTED = "adamw_uncorrected"
SHORT, LONG = 3, 8
WARM = {"schedule": {"name": "linear", "warmup": 0.1}}
COLD = {"schedule": {"name": "linear", "warmup": 0.0}}
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "short, no warm-up, no bias correction": (
        {}, {"epochs": SHORT, "optimizer": UNCORRECTED, **COLD},
    ),
    "short, no warm-up": ({}, {"epochs": SHORT, **COLD}),
    "short, warm-up": ({}, {"epochs": SHORT, **WARM}),
    "long, warm-up": ({}, {"epochs": LONG, **WARM}),
    "long, warm-up, last layer anew": (
        {"text": {"reinitialized_layers": 1}}, {"epochs": LONG, **WARM},
    ),
    "long, warm-up, two layers anew": (
        {"text": {"reinitialized_layers": 2}}, {"epochs": LONG, **WARM},
    ),
    "long, warm-up, noise of 5": ({}, {"epochs": LONG, "embeddings": {"noise": 5.0}, **WARM}),
    "long, warm-up, LoRA of rank 8": ({"lora": {"rank": 8}}, {"epochs": LONG, **WARM}),
}  # fmt: skip


class UncorrectedAdamW(torch.optim.AdamW):
    """AdamW as BERT's first code had it, without correction of the moments' bias.

    The corrected step is ``√(1 − β₂ᵗ) / (1 − β₁ᵗ)`` times the uncorrected one but for ε (Kingma and
    Ba, 2015, end of section 2), so the rate is divided by that; the decay's along with it.
    """

    def step(self, closure: Any = None) -> Any:
        """One update at the rate that is set."""
        self.count = getattr(self, "count", 0) + 1
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            first, second = group["betas"]
            group["lr"] *= (1 - first**self.count) / math.sqrt(1 - second**self.count)
        try:
            return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate


OPTIMIZERS[UNCORRECTED] = lambda groups, momentum: UncorrectedAdamW(
    groups, lr=0.0, betas=(momentum, 0.999), foreach=True
)


def last_epoch(store: Store, seed: int, rate: float, row: str) -> EpochRecord:
    """The last epoch of one training."""
    changes, recipe = ROWS[row]
    usual: Mapping[str, Any] = {
        "optimizer": "adamw", "learning_rate": rate, "weight_decay": 0.01,
        "head": {"method": "descend", "epochs": 0}, "guard": {"answers": "none"},
        "range_test": {"enabled": False},
    }  # fmt: skip
    text = {"max_tokens": 64, **changes.get("text", {})}
    model = ModelSettings.model_validate(
        {"backbone": MINILM, "trainable_blocks": "all", **changes, "text": text}
    )
    result = train(
        store, model, TrainSettings.model_validate({**usual, **recipe}), task=TASK, seed=seed,
        device=torch.device("cpu"), cache=FeatureCache(0), on_epoch=lambda record: None,
        measure_every=LONG,
    ).result  # fmt: skip
    return result.history[-1]


def main() -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--num-train", type=int, default=400)
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 1e-3])
    parser.add_argument("--rows", default="", help="only those whose names hold these words")
    options = parser.parse_args()
    set_up("cpu", 1)
    print("Means and standard deviations over seeds.\n")
    print("| rate | row | training loss | validation loss | accuracy | failed |")
    print("|---" * 6 + "|", flush=True)
    with glosses() as whole:
        store = with_fewer(whole, options.num_train)
        labels = store.labels[store.split("val")]
        most_frequent = np.bincount(labels).max() / len(labels)
        for rate in options.rates:
            for row in (name for name in ROWS if options.rows in name):
                ends = [last_epoch(store, seed, rate, row) for seed in range(options.seeds)]
                numbers = np.array(
                    [[e.train_loss, e.val_loss, e.scores["val_accuracy"]] for e in ends]
                )
                failed = int((~(numbers[:, 2] > most_frequent)).sum())
                shown = " | ".join(
                    f"{mean:.3f} ± {spread:.3f}"
                    for mean, spread in zip(
                        numbers.mean(axis=0), numbers.std(axis=0, ddof=1), strict=True
                    )
                )
                print(f"| {rate:g} | {row} | {shown} | {failed} of {len(ends)} |", flush=True)


if __name__ == "__main__":
    main()
