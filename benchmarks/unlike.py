"""How well scores tell other pictures apart: ``python -m benchmarks.unlike``.

Run in a repository that has run the pipeline. On the finished model and its test split it compares
the greatest probability (Hendrycks and Gimpel, 2017), the energy (Liu et al., 2020), the distance
to the k-th nearest training picture (Sun et al., 2022) and the Mahalanobis distance (Lee et al.,
2018) by the area under the ROC curve. Intervals resample groups of near-duplicates of the test
pictures and pictures of the other set. On the shipped pictures it chose the kind of score and k,
once, in the code.
"""

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path

from sftcore.pipeline.paths import MODEL
from sftcore.use.kernels import choose_kernels

choose_kernels(MODEL)

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from sklearn.covariance import ledoit_wolf  # noqa: E402
from sklearn.datasets import load_digits, load_sample_images  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from torch import Tensor  # noqa: E402

from sftcore.data.pictures.decode import fit_square  # noqa: E402
from sftcore.data.store import open_store  # noqa: E402
from sftcore.evaluation.predict import load_model, look_at  # noqa: E402
from sftcore.foundations.runtime import set_up  # noqa: E402
from sftcore.metrics.intervals import grouped_bootstrap_weights, percentile_interval  # noqa: E402
from sftcore.metrics.unlike import known_directions, neighbour_distance  # noqa: E402
from sftcore.pipeline.paths import PREPARED  # noqa: E402

FASHION = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
Score = Callable[[Tensor, Tensor], np.ndarray]


def other_sets(size: int, background: tuple[int, int, int], fashion: Path) -> dict[str, np.ndarray]:
    """Pictures of other kinds, uint8 [N, S, S, 3] each."""

    def squares(greys: np.ndarray) -> np.ndarray:
        pictures = [Image.fromarray(grey.astype(np.uint8)).convert("RGB") for grey in greys]
        return np.stack([fit_square(picture, size, background) for picture in pictures])

    digits = load_digits().images[::6] * 15.9
    crops = [
        photo[y : y + size, x : x + size]
        for photo in load_sample_images().images
        for y in range(0, photo.shape[0] - size, size // 2)
        for x in range(0, photo.shape[1] - size, size // 2)
    ]
    sets = {"digits": squares(digits), "digits, dark on light": squares(255 - digits),
            "crops of two photographs": np.stack(crops)}  # fmt: skip
    if fashion.is_file():
        greys = np.frombuffer(gzip.decompress(fashion.read_bytes())[16:], np.uint8)
        greys = greys.reshape(-1, 28, 28)[:300]
        sets |= {"Fashion-MNIST": squares(greys), "Fashion-MNIST, inverted": squares(255 - greys)}
    return sets


def scores(features: Tensor, labels: Tensor, num_classes: int) -> dict[str, Score]:
    """Each score of features [N, D] and logits [N, C]; larger is less like training."""
    means = torch.stack([features[labels == k].mean(dim=0) for k in range(num_classes)])
    covariance, _ = ledoit_wolf((features - means[labels]).numpy().astype(float))
    precision = torch.from_numpy(np.linalg.inv(covariance)).float()

    def mahalanobis(of: Tensor, _: Tensor) -> np.ndarray:
        distances = [(((of - mean) @ precision) * (of - mean)).sum(dim=1) for mean in means]
        return torch.stack(distances, dim=1).amin(dim=1).numpy()

    directions = known_directions(features, len(features))
    found: dict[str, Score] = {
        "greatest probability": lambda _, z: -torch.softmax(z.double(), 1).amax(1).numpy(),
        "energy": lambda _, z: -torch.logsumexp(z.double(), 1).numpy(),
        "Mahalanobis": mahalanobis,
    }
    for count in NEIGHBOURS:
        found[f"neighbour {count}"] = lambda of, _, k=count: neighbour_distance(of, directions, k)  # type: ignore[misc]
    return found


def area(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve with its 95 % interval."""
    truth = np.r_[np.zeros(len(own)), np.ones(len(other))]
    values = np.r_[own, other]
    units = np.r_[groups.astype(object), np.arange(len(other)).astype(object)]
    many = [
        roc_auc_score(truth, values, sample_weight=weights)
        for piece in grouped_bootstrap_weights(units, 500, 0, "unlike")
        for weights in piece
    ]
    low, high = percentile_interval(np.array(many), 0.95)
    return float(roc_auc_score(truth, values)), float(low), float(high)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fashion", type=Path, default=FASHION, help="IDX file of pictures, gzip")
    options = parser.parse_args()
    model = load_model(MODEL)
    network, record = model.network, model.record
    set_up("cpu", record.num_threads)
    store = open_store(PREPARED, ("train", "val", "test"))

    @torch.no_grad()
    def see(images: np.ndarray) -> tuple[Tensor, Tensor]:
        features = look_at(network, images, model.sight).features
        return features, network.head(features)

    features, logits = see(store.images)
    train, test = (torch.from_numpy(store.split(name)) for name in ("train", "test"))
    groups = store.samples["group"].to_numpy()[test.numpy()]
    found = scores(features[train], torch.from_numpy(store.labels)[train], len(store.classes))
    rows = {}
    for name, images in other_sets(record.image_size, record.background, options.fashion).items():
        of = see(images)
        title = f"{name} (n {len(images)})"
        rows[title] = {
            score: "{:.3f} [{:.3f}, {:.3f}]".format(
                *area(function(features[test], logits[test]), function(*of), groups)
            )
            for score, function in found.items()
        }
    table = pd.DataFrame(rows)
    print(f"against {len(test)} test pictures; area under the ROC curve, 95 % interval")
    print("| score | " + " | ".join(table.columns) + " |")
    print("|---" * (1 + len(table.columns)) + "|")
    for score, row in table.iterrows():
        print(f"| {score} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
