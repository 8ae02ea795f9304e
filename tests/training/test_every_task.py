"""The contract of a task, for every task: one loop trains them all, and ends nowhere in between."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sftcore.data.pictures.annotated import NO_BOX
from sftcore.data.store import Store
from sftcore.data.texts.stored import Texts
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.interruption import leave_on_signals
from sftcore.foundations.masks import IGNORED
from sftcore.foundations.yaml_files import flatten
from sftcore.models.settings import ModelSettings
from sftcore.optimization.optimizers import build_optimizer
from sftcore.settings.tree import load_params, refuse_settings
from sftcore.tasks.contract import Task, is_error
from sftcore.tasks.registry import TASKS
from sftcore.training import epoch
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import prepare_training, train
from sftcore.training.records import FitResult
from sftcore.training.settings import TrainSettings
from tests.models.dense.tiny import narrow
from tests.models.text.tiny import WORDS, write_encoder
from tests.training.test_contract import AUTO, CONTRACT, EXPLODING, LINEAR, REFUSED
from tests.training.test_loop import ROOT, small

# A task whose head came with the model is held to the same contract in test_answers.py.
WITH_NEW_HEAD = [name for name in TASKS if TASKS[name].has_new_head]
OTHERS = [name for name in WITH_NEW_HEAD if name != "classification"]
DEVICE = torch.device("cpu")
# A setting's row of the contract that needs what another task refuses, or classes.
NOT_OF_CLASSES = {"train.selection.metric"}


TEXTS = "text_classification"
MASKS, BOXES = "segmentation", "detection"
DENSE = (MASKS, BOXES)
# Settings of what happens to a gradient, whatever it is of. Each by itself is tried with classes
# (tests/training/test_contract.py). With every other task all of them are, together; and by itself
# one of each kind and of the guard each, but with masks one alone, and with boxes, whose trainings
# take longest, none.
OF_GRADIENTS = (
    "train.schedule.", "train.range_test.", "train.rate_scaling.", "train.guard.",
    "train.penalties.", "train.clipping.", "train.sharpness.", "train.averaging.",
    "train.stopping.", "train.seeds.", "train.optimizer", "train.momentum", "train.weight_decay",
)  # fmt: skip
ONE_OF_EACH_KIND = {
    "train.schedule.name", "train.range_test.enabled", "train.guard.answers",
    "train.penalties.l2_sp", "train.clipping.agc", "train.sharpness.rho",
    "train.averaging.soup_size", "train.averaging.wise_ft", "train.optimizer",
    "train.seeds.augmentation",
}  # fmt: skip
_SCHEDULES = {
    "linear": ["end"], "cosine": ["cycles"], "step": ["every", "factor"],
    "multi_step": ["milestones"], "polynomial": ["power"], "one_cycle": ["rise"],
    "warmup_stable_decay": ["decay"], "plateau": ["patience"],
}  # fmt: skip


def on_in_contract(*kinds: str) -> dict[str, Any]:
    """Settings of these kinds with the values of their rows."""
    return {name: row.on for name, row in CONTRACT.items() if name.startswith(kinds)}


TOGETHER: dict[str, dict[str, Any]] = {
    "guard": EXPLODING
    | on_in_contract("train.guard.")
    | {"train.guard.answers": "skip+clip+rollback"},
    "range test": AUTO | on_in_contract("train.range_test.", "train.rate_scaling."),
    "update": on_in_contract(
        "train.optimizer", "train.momentum", "train.weight_decay", "train.penalties.",
        "train.clipping.", "train.sharpness.", "train.averaging.", "train.stopping.",
        "train.seeds.",
    )
    | {"train.head.epochs": 1, "train.stopping.patience": 9},
    "warm-up": {"train.schedule.warmup": 0.5},
    **{
        f"schedule {name}": {"train.schedule.name": name}
        | {f"train.schedule.{each}": CONTRACT[f"train.schedule.{each}"].on for each in shaped_by}
        for name, shaped_by in _SCHEDULES.items()
    },
}  # fmt: skip


@cache
def encoder() -> str:
    """Name of a small encoder with random parameters."""
    folder = Path(tempfile.mkdtemp(prefix="encoder-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"transformers/{write_encoder(folder)}"


def texts_of(classes: np.ndarray) -> Texts:
    """A text for each row; half of its words are of its class."""
    stream = np.random.default_rng(0)
    encoded = []
    for kind in classes.clip(min=0).tolist():
        own = WORDS[3 * kind : 3 * kind + 3]
        words = [
            str(stream.choice(of)) for of in (own, WORDS) for _ in range(stream.integers(2, 7))
        ]
        encoded.append(" ".join(words).encode())
    content = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return Texts(content, np.cumsum([0, *map(len, encoded)]))


def masks_of(store: Store) -> np.ndarray:
    """Light pixels are of one of two kinds, as the picture's class has it; an edge is ignored."""
    is_light = np.asarray(store.images).mean(axis=3) > 110
    masks = np.where(is_light, 1 + (store.targets > 0)[:, None, None], 0).astype(np.uint8)
    masks[:, :, -2:] = IGNORED
    masks[store.targets < 0] = IGNORED
    return masks


def boxes_of(store: Store) -> np.ndarray:
    """Up to three boxes on a picture, the first of its class and in its middle; one is a crowd."""
    stream, side = np.random.default_rng(0), store.image_size
    boxes = np.tile(NO_BOX, (len(store.targets), 3, 1))
    for row, kind in enumerate(store.targets.tolist()):
        corners = stream.integers(0, side // 2, (3, 2))
        sides = stream.integers(6, side // 2, (3, 2))
        corners[0], sides[0] = side // 4, side // 2
        for place in range(row % 4 if kind >= 0 else 0):
            label = (kind + place) % 3
            boxes[row, place] = [*corners[place], *(corners + sides)[place], label, 0]
    shown = store.split("train")
    crowd = shown[shown % 4 == 3][0]
    boxes[crowd, 1, 5] = 1
    return boxes


def store_of(store: Store, task: str) -> Store:
    """The same examples with the targets of another task, or others with the same targets.

    Of masks and boxes it shows every second example: networks with maps take longer.
    """
    classes = store.targets
    if task in DENSE:
        store = replace(store, samples=store.samples.iloc[::2].reset_index(drop=True))
    if task == TEXTS:
        return replace(store, examples=texts_of(classes), kind="texts")
    if task == "multilabel":
        of_class = torch.nn.functional.one_hot(torch.from_numpy(classes.clip(min=0)), 3).numpy()
        targets = np.column_stack([of_class, classes < 2]).astype(np.float32)
        return replace(store, targets=targets, names=["a", "b", "c", "a or b"], target="labels")
    if task == "regression":
        noise = np.random.default_rng(0).normal(size=len(classes))
        targets = np.column_stack([10.0 * classes + noise, 3 - classes + noise])
        return replace(store, targets=targets, names=["x", "y"], target="numbers")
    if task == MASKS:
        names = ["background", "disc", "other"]
        return replace(store, targets=masks_of(store), names=names, target="masks")
    if task == BOXES:
        return replace(store, targets=boxes_of(store), names=["a", "b", "c"], target="boxes")
    return store


def settings(task: str, **changes: Any) -> tuple[ModelSettings, TrainSettings]:
    """Those of a small training with changes, whatever the task makes of them."""
    tree = small().model_dump()
    own: dict[str, Any] = {}
    if task == TEXTS:
        own = {"model.backbone": encoder(), "model.weights": "pretrained"}
        own |= {"model.text.hidden_dropout": 0.0, "model.text.max_tokens": 40}
    if task in DENSE:
        own = {"model.segmentation.width": 8, "model.detection.width": 8}
        own |= {"model.detection.num_convs": 0, "train.batch_size": 4}
    for name, value in (own | changes).items():
        *groups, leaf = name.split(".")
        inner = tree
        for group in groups:
            inner = inner[group]
        inner[leaf] = value
    return ModelSettings.model_validate(tree["model"]), TrainSettings.model_validate(tree["train"])


def run(
    store: Store, task: str, changes: dict[str, Any], checkpoints: Checkpoints | None = None
) -> FitResult:
    return train(
        store_of(store, task), *settings(task, **changes), task=task, seed=0, device=DEVICE,
        cache=FeatureCache(1 << 28), on_epoch=lambda record: None, checkpoints=checkpoints,
    ).result  # fmt: skip


def is_same(first: FitResult, second: FitResult) -> bool:
    """The same bits; a score that is not a number is one with itself."""
    states = first.chosen_state, second.chosen_state
    told = [
        (repr((result.history, result.candidates)), content_of_answers(result))
        for result in (first, second)
    ]
    return told[0] == told[1] and all(torch.equal(states[0][n], states[1][n]) for n in states[0])


def content_of_answers(result: FitResult) -> bytes:
    """What was kept of the validation rows; nothing of a training that ended before."""
    return b"" if result.val_logits is None else result.val_logits.numpy().tobytes()


def settings_of(task: str) -> list[str]:
    """Settings of the contract that the task does not refuse."""
    refused = [*TASKS[task].refuses]
    if not TASKS[task].solves_head:
        refused.append("train.head.method")  # of which one way is left
    found = [
        name for name in CONTRACT
        if name not in NOT_OF_CLASSES
        and not any(f"{name}.".startswith(f"{each}.") for each in refused)
    ]  # fmt: skip
    chosen = set() if task == BOXES else ONE_OF_EACH_KIND
    if task not in DENSE:  # the guard's hide each other: one gives up before another is asked
        chosen = chosen | {name for name in found if name.startswith("train.guard.")}
    return [name for name in found if name in chosen or not name.startswith(OF_GRADIENTS)]


def ended_and_continued(
    run: Callable[[Checkpoints], FitResult], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> FitResult:
    """A training that a signal ends before its fourth update, and that goes on from there."""
    original, updates = epoch.train_step, count()

    def train_step(*args: Any, **kwargs: Any) -> Any:
        if next(updates) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", train_step)
    checkpoints = Checkpoints(folder / "key", every_seconds=1e9)
    try:
        with leave_on_signals():
            run(checkpoints)
    except SystemExit:
        pass
    return run(checkpoints)


PAIRS = [(task, name) for task in OTHERS for name in settings_of(task)]


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_every_setting_ends_and_goes_on_to_the_same_bits(
    task: str, name: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = CONTRACT[name]
    base = {k: on for k, on in row.base.items() if k in CONTRACT and not TASKS[task].refusal(k)}
    if task in DENSE and name.startswith("model.lora."):
        narrow(monkeypatch)
        base["model.backbone"] = "torchvision/convnext_tiny"
    elif task not in (TEXTS, *DENSE) and name.startswith(("model.lora.", "train.recompute_")):
        base |= LINEAR
    on = {"train.epochs": 2, "train.learning_rate": 1e-3, **base, name: row.on}
    whole = run(store, task, on)
    gone_on = ended_and_continued(partial(run, store, task, on), tmp_path, monkeypatch)
    assert is_same(gone_on, whole)
    for record in whole.history:
        headline = f"val_{TASKS[task].scores[0]}"
        assert list(record.scores)[1] == headline


def test_all_settings_of_gradients_are_tried_together() -> None:
    tried = {name for settings in TOGETHER.values() for name in settings}
    assert tried >= {name for name in CONTRACT if name.startswith(OF_GRADIENTS)}


@pytest.mark.parametrize("task", OTHERS)
@pytest.mark.parametrize("what", TOGETHER)
def test_settings_of_gradients_together_end_and_go_on_to_the_same_bits(
    what: str, task: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {name: on for name, on in TOGETHER[what].items() if not TASKS[task].refusal(name)}
    on = {"train.epochs": 2, "train.learning_rate": 1e-3, **chosen}
    whole = run(store, task, on)
    assert bool(whole.incidents) is (what == "guard")
    assert what == "guard" or not whole.diverged, "an end would hide the settings from each other"
    assert is_same(ended_and_continued(partial(run, store, task, on), tmp_path, monkeypatch), whole)


@pytest.mark.parametrize(("task", "name"), [pair for pair in PAIRS if pair[1] in REFUSED])
def test_what_classification_has_not_changes_something(task: str, name: str, store: Store) -> None:
    row = CONTRACT[name]
    base = {"train.epochs": 2, **row.base}
    off, on = run(store, task, base), run(store, task, {**base, name: row.on})
    assert not is_same(off, on)
    assert all(np.isfinite(record.val_loss) for record in on.history)


@pytest.mark.parametrize("task", WITH_NEW_HEAD)
def test_a_task_learns_and_its_head_alone_beats_guessing(task: str, store: Store) -> None:
    alone: dict[str, Any] = {"train.epochs": 0, "model.trainable_blocks": 0}
    alone |= {"train.head.method": "solve"} if TASKS[task].solves_head else {
        "train.head.epochs": 15, "train.head.learning_rate": 0.02, "train.optimizer": "adamw",
    }  # fmt: skip
    if task not in (TEXTS, *DENSE):
        alone["model.backbone"] = "timm/test_vit"
    result = run(store, task, alone)
    _, plan = prepare_training(
        store_of(store, task), *settings(task, **alone), task=task, seed=0, device=DEVICE
    )
    assert result.history[-1].train_loss < plan.task.guessing_loss()
    if TASKS[task].solves_head:
        assert result.head is not None
        assert result.head.gradient < 1e-6
    else:
        assert result.history[0].train_loss > 1.1 * result.history[-1].train_loss


@pytest.mark.parametrize("task", WITH_NEW_HEAD)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_micro_batches_of_unequal_weights_give_one_gradient(
    task: str, optimizer: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that weigh 1 to 7; parts of two and four rows, and the whole."""
    monkeypatch.setattr(TASKS[task], "weight", lambda self, targets: float(_weights(targets).sum()))
    original = TASKS[task].criterion

    def weighted(self: Task, settings: Any) -> Any:
        criterion = original(self, settings)
        return lambda output, targets, weight: torch.stack([
            row * criterion(output[i : i + 1], targets[i : i + 1], weight)
            for i, row in enumerate(_weights(targets))
        ]).sum()  # fmt: skip

    monkeypatch.setattr(TASKS[task], "criterion", weighted)
    gradients = []
    for size in (0, 2, 4):
        captured: list[Tensor] = []

        def keep(*args: Any, _to: list[Tensor] = captured, **kwargs: Any) -> Any:
            made = build_optimizer(*args, **kwargs)
            step = made.step

            def remember(*a: Any, **k: Any) -> Any:
                if not _to:
                    own = [p.grad for group in made.param_groups for p in group["params"]]
                    _to.extend(grad.clone() for grad in own if grad is not None)
                return step(*a, **k)

            made.step = remember  # type: ignore[method-assign]
            return made

        monkeypatch.setattr("sftcore.training.loop.build_optimizer", keep)
        run(store, task, {"train.epochs": 1, "train.micro_batch_size": size,
                          "train.optimizer": optimizer})  # fmt: skip
        gradients.append(torch.cat([grad.flatten() for grad in captured]))
    for other in gradients[1:]:
        assert float((other - gradients[0]).norm() / gradients[0].norm()) < 1e-5


def _weights(targets: Tensor) -> Tensor:
    """A weight of each row that depends on its target alone."""
    value = targets.float().reshape(len(targets), -1).sum(dim=1)
    return 1 + (value.abs() * 37 % 7)


@pytest.mark.parametrize("task", TASKS)
def test_what_makes_no_sense_is_refused_with_the_reason(task: str) -> None:
    defined = flatten(load_params(ROOT / "params.yaml").model_dump())
    for name, reason in TASKS[task].refuses.items():
        leaves = [each for each in defined if f"{each}.".startswith(f"{name}.")]
        assert leaves, f"{name} is no setting"
        for leaf in leaves:
            with pytest.raises(ValueError, match="means nothing for"):
                refuse_settings(TASKS[task], {leaf: "other"})
        assert len(reason.split()) > 3
    refuse_settings(TASKS[task], {n: v for n, v in defined.items() if n.startswith("train.")})


@pytest.mark.parametrize(
    ("task", "setting"),
    [
        ("multilabel", "train.imbalance.balanced_sampling"),
        ("multilabel", "train.features.co_tuning"),
        ("regression", "train.augmentation.mixup"),
        ("regression", "train.imbalance.balanced_sampling"),
        ("regression", "train.features.co_tuning"),
        *(
            (task, f"train.{name}")
            for task in DENSE
            for name in ("augmentation.mixup", "imbalance.balanced_sampling", "features.co_tuning")
        ),
    ],
)
def test_an_engine_that_asks_for_what_is_refused_gets_the_reason(
    task: str, setting: str, store: Store
) -> None:
    _, plan = prepare_training(
        store_of(store, task), *settings(task), task=task, seed=0, device=DEVICE
    )
    own: Any = plan.task
    ask = {
        "train.imbalance.balanced_sampling": lambda: own.chances(1.0),
        "train.features.co_tuning": lambda: own.source_wanted(torch.zeros(1, 2)),
        "train.augmentation.mixup": lambda: own.mixed(plan.rows.train, None),
    }
    with pytest.raises(ParamsError, match=f"{setting} means nothing for {task}: "):
        ask[setting]()


@pytest.mark.parametrize("task", WITH_NEW_HEAD)
def test_every_metric_has_its_words_and_errors_are_called_errors(task: str, store: Store) -> None:
    kind = TASKS[task]
    assert kind.words.keys() == set(kind.metrics())
    assert kind.in_steps <= set(kind.scores)
    assert not is_error(kind.scores[0]), "the headline is one of which more is better"
    assert len(kind.simpler_rows) == (1 if task in DENSE else 2)
    _, plan = prepare_training(
        store_of(store, task), *settings(task), task=task, seed=0, device=DEVICE
    )
    rows = plan.rows.train
    found = plan.task.measure(_perfect(plan.task, plan.task.of(rows)), plan.task.of(rows))
    assert set(found) == set(kind.metrics())
    assert found["loss"] == pytest.approx(0.0, abs=1e-6)
    for name in kind.scores:
        assert found[name] == pytest.approx(0.0 if is_error(name) else 1.0, abs=1e-6)


def _perfect(task: Task, targets: Tensor) -> Tensor:
    """What is kept of answers that are right, and certain of it."""
    if task.name == "regression":
        return targets
    if task.name == BOXES:  # objects, and a loss of nothing at one point
        is_object = (targets[:, :, 4:5] >= 0) & (targets[:, :, 5:] == 0)
        label = torch.where(is_object, targets[:, :, 4:5], -1)
        found = torch.cat([targets[:, :, :4], torch.ones_like(label), label], dim=2)
        last = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]).expand(len(targets), 1, 6)
        return torch.cat([found, last], dim=1)
    is_index = targets.ndim != 2
    labels = torch.where(targets == IGNORED, 0, targets).long() if is_index else targets
    of_outputs = torch.nn.functional.one_hot(labels, 3) if is_index else labels
    logits = 50.0 * (of_outputs.movedim(-1, 1) * 2 - 1).float()
    return task.kept(lambda features: features, logits, targets)


def test_a_setting_of_another_task_is_refused_when_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train: {error: {kind: huber}}")
    with pytest.raises(ParamsError, match=r"train\.error\.kind means nothing for classification"):
        load_params(tmp_path / "params.yaml")
