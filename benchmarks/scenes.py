"""The shipped scenes with masks or boxes, for benchmarks: splits, recipe, training and score.

**Splits.** Each replicate draws all scenes anew into 60 % to learn from, 20 % to choose by and 20 %
that judge, as the data's own split is drawn: no pool of drawings is in two parts. One split judges
by twelve pools of sixty, and its bootstrap says nothing of other splits and seeds. Differences over
replicates are paired, and their interval is the corrected resampled t (Nadeau and Bengio, 2003),
which allows for the scenes that replicates share.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from benchmarks.shipped import DATA, shipped
from benchmarks.training import CONFIDENCE
from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store
from sftcore.evaluation.predict import look_at
from sftcore.evaluation.sight import PictureSight
from sftcore.metrics.detection import detection_scores
from sftcore.metrics.intervals import Interval, resampled_interval
from sftcore.settings.grids import Changes
from sftcore.settings.tree import Params, load_params, override
from sftcore.tasks.answers import answers_of
from sftcore.tasks.detection.records import matches_of
from sftcore.tasks.names import BOXES, MASKS
from sftcore.tasks.segmentation.sums import pixel_rows, read_rows
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import Trained, train

TASKS = (MASKS, BOXES)
SCORES = {MASKS: "mean IoU", BOXES: "average precision"}
SPLITS = ("train", "val", "test")
CPU = torch.device("cpu")
_EXAMPLES = Path(__file__).parent.parent / "examples"
_PART = 0.2  # of the scenes chooses, and as much judges
_ONLY_AT_THE_ENDS = 1 << 30  # epochs between measurements of the training pictures
Records = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        test: score on the pictures that had no say.
        val: on those that may choose.
        train: on those that were learnt from.
        seconds: of the training, from the reading of weights on.
    """

    test: float
    val: float
    train: float
    seconds: float


def recipe_of(task: str, changes: Changes | None = None) -> Params:
    """The example's params.yaml with changes."""
    params = load_params(_EXAMPLES / task / "params.yaml")
    return override(params, changes or {}, "benchmark")


@contextmanager
def scenes(params: Params) -> Iterator[Store]:
    """The store of all scenes, every split of it open."""
    data = params.data.model_copy(update={"path": str(DATA / "scenes")})
    with shipped(params.task, data, splits=SPLITS) as store:
        yield store


def replicate_of(
    store: Store, number: int, most: Mapping[str, int] = MappingProxyType({})
) -> Store:
    """The same scenes in splits of a replicate's own; see the module.

    Args:
        store: with all splits open.
        number: of the replicate.
        most: pictures that are kept of a split; those that it does not name are whole.
    """
    pool = store.samples.assign(split="train")
    parts = take_portion(pool, Portion(number, _PART, _PART), 0)
    rows = {"train": parts.train, "val": parts.val, "test": parts.judge}
    names = {row: name for name, own in rows.items() for row in own[: most.get(name)].tolist()}
    drawn = pool.assign(split=pool["row"].map(names)).dropna(subset=["split"])
    return replace(store, samples=drawn.reset_index(drop=True))


def by_this_engine(store: Store, params: Params, seed: int) -> tuple[Outcome, Trained]:
    """Train as the pipeline does, without any features at hand, and measure what was chosen."""
    began = time.perf_counter()
    trained = train(
        store, params.model, params.train, task=params.task, seed=seed, device=CPU,
        cache=FeatureCache(FEATURE_BUDGET_BYTES), on_epoch=lambda record: None,
        measure_every=_ONLY_AT_THE_ENDS,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    network, record = trained.start.network, trained.start.record
    network.load_state_dict(trained.result.chosen_state)
    sight = PictureSight(record.mean, record.std, CPU)
    answers = answers_of(params.task, trained.plan.task.record()["facts"])

    def records(rows: np.ndarray) -> np.ndarray:
        found = look_at(network.eval(), store.images[rows], sight, answers).answers
        return found if params.task == BOXES else mask_records(store, torch.from_numpy(found), rows)

    return measured(store, records, seconds), trained


def mask_records(store: Store, logits: Tensor, rows: np.ndarray) -> np.ndarray:
    """What :func:`score` wants of logits [n, K, h, w] of some rows' pictures."""
    masks = torch.from_numpy(np.array(store.targets[rows]))
    return pixel_rows(logits, masks).numpy()


def score(store: Store, records: np.ndarray, rows: np.ndarray) -> float:
    """Mean IoU of the pixels of all pictures, or COCO's average precision.

    Args:
        store: of masks or boxes.
        records: of :func:`mask_records`, or detections [n, D, 6]: left, top, right, bottom, score,
            class; -1 is none.
        rows: of the store [n].
    """
    if store.target == "masks":
        return read_rows(records, len(store.names)).scores()["mean_iou"]
    matches = matches_of(records, store.targets[rows], len(store.names))
    return detection_scores(matches)["average_precision"]


def measured(store: Store, records: Records, seconds: float) -> Outcome:
    """A trained network's scores on all three splits."""
    found = {
        name: score(store, records(rows), rows) for name in SPLITS for rows in (store.split(name),)
    }
    return Outcome(**found, seconds=seconds)


def difference(store: Store, differences: Sequence[float]) -> Interval:
    """Of replicates; see the module.

    Args:
        store: of any replicate, which tells how many pictures a split has.
        differences: one for each.
    """
    num_known = len(store.split("train")) + len(store.split("val"))
    return resampled_interval(differences, len(store.split("test")) / num_known, CONFIDENCE)


def shown(found: Interval, digits: int = 3) -> str:
    """Mean and interval, as text."""
    mean, low, high = (f"{value:+.{digits}f}" for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"
