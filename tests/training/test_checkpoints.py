"""A training that is ended anywhere and started again is, bit for bit, the training."""

import os
import pickle
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from sftcore.data.store import Store
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.tree import Params
from sftcore.training import epoch, epoch_record, loop
from sftcore.training.checkpoints import NUM_KEPT, Checkpoints, discard_finished
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import EpochRecord, FitResult
from tests.training.test_loop import same, small

RECIPES: dict[str, dict[str, Any]] = {
    "momentum, two phases": {"train__head__epochs": 2},
    "adam": {"train__optimizer": "adam", "train__head__epochs": 1},
    "adamw and clipping": {"train__optimizer": "adamw", "train__clipping__norm": 0.1},
    "moving statistics": {"train__batch_norm": "train", "model__trainable_blocks": "all"},
    "dropout and augmentation": {
        "model__dropout": 0.5,
        "train__augmentation__strength": 1.0,
        "train__head__epochs": 1,
    },
    "every penalty": {
        "train__penalties__l1": 1e-3,
        "train__penalties__l2": 1e-3,
        "train__weight_decay": 0.1,
        "train__label_smoothing": 0.2,
    },
    "early stopping": {
        "train__epochs": 6,
        "train__stopping__patience": 1,
        "train__learning_rate": 0.3,
    },
    "warm-up, chosen by accuracy": {
        "train__schedule__warmup": 0.5,
        "train__selection__metric": "val_accuracy",
    },
}


class PowerCut(BaseException):
    """Ends a training without a chance to write anything more."""


def run(
    params: Params,
    store: Store,
    checkpoints: Checkpoints | None = None,
    records: list[EpochRecord] | None = None,
) -> tuple[FitResult, dict[str, torch.Tensor]]:
    trained = train(
        store,
        params.model,
        params.train,
        task=params.task,
        seed=0,
        device=torch.device("cpu"),
        cache=FeatureCache(FEATURE_BUDGET_BYTES),
        on_epoch=(records if records is not None else []).append,
        checkpoints=checkpoints,
    )
    return trained.result, trained.start.network.state_dict()


def assert_equal(
    first: tuple[FitResult, dict[str, torch.Tensor]],
    second: tuple[FitResult, dict[str, torch.Tensor]],
) -> None:
    assert same(first[0], second[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


@pytest.fixture
def end_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Ends the training before update ``["update"]``, by a signal or by a power cut."""
    plan: dict[str, Any] = {"update": None, "signal": None}
    original, updates = epoch.train_step, count()

    def train_step(*args: Any, **kwargs: Any) -> Any:
        plan["seen"] = next(updates)
        if plan["seen"] == plan["update"]:
            if plan["signal"] is None:
                raise PowerCut
            os.kill(os.getpid(), plan["signal"])
        return original(*args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", train_step)
    return plan


@pytest.mark.parametrize("recipe", RECIPES)
def test_ended_at_every_update_by_a_signal_it_ends_with_the_same_bits(
    recipe: str, store: Store, tmp_path: Path, end_at: dict[str, Any]
) -> None:
    params = small(**RECIPES[recipe])
    whole = run(params, store)
    num_updates = begun = end_at["seen"] + 1
    checkpoints = Checkpoints(tmp_path / "key", every_seconds=1e9)  # only the signal writes one
    end_at["signal"] = signal.SIGTERM
    for turn in range(num_updates):
        end_at["update"] = begun + turn  # one update further each time
        with pytest.raises(SystemExit), leave_on_signals():
            run(params, store, checkpoints)
        assert end_at["seen"] == begun + turn, "an update was made twice"
    records: list[EpochRecord] = []
    assert_equal(run(params, store, checkpoints, records), whole)
    assert records == whole[0].history
    assert end_at["seen"] == begun + num_updates - 1


@pytest.mark.parametrize("recipe", ["momentum, two phases", "adam", "moving statistics"])
@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_cut_off_it_goes_on_from_the_last_checkpoint(
    recipe: str, at: int, store: Store, tmp_path: Path, end_at: dict[str, Any]
) -> None:
    params = small(**RECIPES[recipe])
    whole = run(params, store)
    num_updates = end_at["seen"] + 1
    end_at["update"] = num_updates + at
    with pytest.raises(PowerCut):
        run(params, store, Checkpoints(tmp_path / "key", every_seconds=0))
    assert len(list((tmp_path / "key").glob("*.checkpoint"))) == min(at, NUM_KEPT)
    assert_equal(run(params, store, Checkpoints(tmp_path / "key", every_seconds=0)), whole)
    assert end_at["seen"] == 2 * num_updates, "an update that was kept was made again"


def test_a_signal_between_updates_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = small(train__head__epochs=1)
    whole = run(params, store)
    checkpoints = Checkpoints(tmp_path / "key", every_seconds=1e9)
    for module, name in (
        (epoch_record, "evaluate_rows"),
        (epoch_record, "weight_norms"),
        (loop, "build_optimizer"),
        (loop, "set_training_mode"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt), leave_on_signals():
                run(params, store, checkpoints)
    assert_equal(run(params, store, checkpoints), whole)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_version(path: Path) -> None:
    payload = pickle.dumps({"network": {}})
    path.write_bytes(sha256_bytes(payload).encode() + b"\n" + payload)


def half_written(path: Path) -> None:
    path.rename(path.with_name(f".{path.name}.999999999.tmp"))


@pytest.mark.parametrize("damage", [truncate, flip, empty, other_version, half_written])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_skipped(
    damage: Any, both: bool, store: Store, tmp_path: Path, end_at: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    params = small(train__head__epochs=1)
    whole = run(params, store)
    end_at["update"] = end_at["seen"] + 6
    with pytest.raises(PowerCut):
        run(params, store, Checkpoints(tmp_path / "key", every_seconds=0))
    older, newer = sorted((tmp_path / "key").glob("*.checkpoint"))
    damage(newer)
    if both:
        damage(older)
    assert_equal(run(params, store, Checkpoints(tmp_path / "key", every_seconds=1e9)), whole)
    assert ("skipped" in caplog.text) is (damage is not half_written)
    assert not list((tmp_path / "key").glob(".*"))


def test_a_checkpoint_that_carries_code_is_refused(store: Store, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    params = small()
    folder = tmp_path / "key"
    folder.mkdir()
    torch.save({"network": Bomb()}, tmp_path / "bomb")
    payload = (tmp_path / "bomb").read_bytes()
    (folder / "00000001-00000000.checkpoint").write_bytes(
        sha256_bytes(payload).encode() + b"\n" + payload
    )
    assert_equal(run(params, store, Checkpoints(folder, 1e9)), run(params, store))
    assert not (tmp_path / "executed").exists()


def test_a_full_disk_is_a_warning_and_training_goes_on(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key").write_text("a file where the folder should be")
    params = small()
    assert_equal(run(params, store, Checkpoints(tmp_path / "key", 0)), run(params, store))
    assert caplog.text.count("no checkpoint: cannot write") == 1


def test_a_divergence_leaves_no_checkpoint(store: Store, tmp_path: Path) -> None:
    params = small(
        train__learning_rate=500.0, train__schedule__name="constant", train__epochs=4,
        model__trainable_blocks="all",
    )  # fmt: skip
    result, _ = run(params, store, Checkpoints(tmp_path / "key", 0))
    assert result.diverged
    assert not (tmp_path / "key").exists()


def test_what_is_finished_goes_when_its_result_is_safe(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "key", 1e9)
    run(small(), store, checkpoints)
    checkpoints.mark_finished("abc")
    discard_finished(tmp_path, "other")
    assert (tmp_path / "key").exists()
    discard_finished(tmp_path, "abc")
    assert not (tmp_path / "key").exists()
