"""How many planted wrong labels the label audit finds: ``python -m benchmarks.label_audit``.

Of the train and validation pictures of each prepared folder a part gets another class, uniformly
drawn; the audit then runs as the stage ``labels`` does. Wrong labels that were there before count
as false alarms, so precision is a lower bound. The stage's rule is compared with the paper's and
cleanlab's, and with other rankings of as many pictures, or of as many as were planted.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from cleanlab.filter import find_label_issues

from sftcore.data.store import Store, open_store
from sftcore.foundations.randomness import numpy_stream
from sftcore.inspection.out_of_fold import grouped_folds, out_of_fold
from sftcore.inspection.suspects import self_confidence, suspect_rows
from sftcore.pipeline.labels import frozen_features
from sftcore.settings.tree import load_params

METHODS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning",
           "predicted_neq_given")  # fmt: skip
_FIRST = 10  # suspects that a person looks at in a minute


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", default=[Path("data/prepared")])
    parser.add_argument("--fraction", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.folders:
        store = open_store(folder, ("train", "val"))
        features = frozen_features(
            load_params().model, load_params().seed, store, torch.device("cpu")
        )
        clean = store.labels[store.samples["row"].to_numpy()]
        print(f"{folder}: {len(clean)} pictures, {len(store.classes)} classes; as they are: "
              f"{len(_audit(store, features, clean)[0])} suspects")  # fmt: skip
        rows = [
            {"seed": seed, **row}
            for seed in range(options.seeds)
            for row in _plant(store, features, clean, options.fraction, seed)
        ]
        table = pd.DataFrame(rows).drop(columns="seed").groupby("method", sort=False)
        shown = table.agg(["mean", "std"]).round(3)
        print(f"{options.fraction:.0%} planted, {options.seeds} seeds")
        print(shown.to_string())


def _audit(
    store: Store, features: torch.Tensor, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Suspects by the stage's rule, and the out-of-fold probabilities."""
    folds = grouped_folds(labels, store.samples["group"].to_numpy(dtype=str))
    judged = out_of_fold(features, torch.from_numpy(labels), folds, len(store.classes))
    return suspect_rows(labels, judged.probability), judged.probability


def _plant(
    store: Store, features: torch.Tensor, clean: np.ndarray, fraction: float, seed: int
) -> Iterator[dict[str, float | str]]:
    stream = numpy_stream(seed, "planted labels")
    planted = stream.choice(len(clean), size=round(fraction * len(clean)), replace=False)
    labels, num_classes = clean.copy(), len(store.classes)
    shift = stream.integers(1, num_classes, size=len(planted))
    labels[planted] = (labels[planted] + shift) % num_classes
    is_planted = np.zeros(len(clean), dtype=bool)
    is_planted[planted] = True
    named, probability = _audit(store, features, labels)
    yield {"method": "the stage's rule"} | _score(named, is_planted)
    own = self_confidence(labels, probability)
    for method in METHODS:
        found = find_label_issues(labels, probability, filter_by=method, n_jobs=1)
        rows = np.flatnonzero(found)
        yield {"method": method} | _score(rows[np.argsort(own[rows], kind="stable")], is_planted)
    for name, score in _rankings(labels, probability).items():
        ranked = np.argsort(score, kind="stable")
        yield {"method": f"{name}, as many"} | _score(ranked[: len(named)], is_planted)
        yield {"method": f"{name}, planted"} | _score(ranked[: len(planted)], is_planted)


def _rankings(labels: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of labels [N], low where a label is odd."""
    own = self_confidence(labels, probability)
    others = probability.copy()
    others[np.arange(len(labels)), labels] = -1
    typical = np.array([own[labels == k].mean() for k in range(probability.shape[1])])
    return {
        "self-confidence": own,
        "margin": own - others.max(axis=1),
        "less its class's mean": own - typical[labels],
    }


def _score(named: np.ndarray, is_planted: np.ndarray) -> dict[str, float]:
    hits = is_planted[named]
    return {
        "named": float(len(named)),
        "precision": float(hits.mean()) if len(named) else float("nan"),
        "recall": float(hits.sum() / is_planted.sum()),
        f"of first {_FIRST}": float(hits[:_FIRST].sum()),
    }


if __name__ == "__main__":
    main()
