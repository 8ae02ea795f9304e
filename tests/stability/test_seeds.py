"""Three seeds, each of which decides its own streams alone."""

from typing import Any

import numpy as np
import pytest
import torch

from sftcore.data.store import Store
from sftcore.training import epoch, loop, views
from sftcore.training.keys import training_key
from tests.ablation.test_run import LOCK
from tests.training.test_loop import run, same, small

NOISY = {"train__augmentation__strength": 0.5, "model__dropout": 0.5}


@pytest.fixture
def seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a training and gives its first head, its batches and its pictures."""

    def look(**changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"order": [], "pictures": []}
        original, read, begin = epoch.epoch_order, views.Pictures.read, loop.begin

        def epoch_order(*args: Any) -> np.ndarray:
            rows = original(*args)
            found["order"].append(rows.tolist())
            return rows

        def pictures(self: Any, rows: np.ndarray, view: Any) -> torch.Tensor:
            images = read(self, rows, view)
            if view.augmentation.strength:
                found["pictures"] += sorted(zip(rows.tolist(), images.sum(dim=(1, 2, 3)).tolist(),
                                                strict=True))  # fmt: skip
            return images

        def begin_(network: Any, course: Any) -> Any:
            found["head"] = network.head.linear.weight.detach().clone().tolist()
            return begin(network, course)

        with monkeypatch.context() as patched:
            patched.setattr(epoch, "epoch_order", epoch_order)
            patched.setattr(views.Pictures, "read", pictures)
            patched.setattr(loop, "begin", begin_)
            found["result"] = run(store, train__epochs=1, **NOISY, **changes)
        found["pictures"].sort()
        return found

    return look


@pytest.mark.parametrize("source", ["init", "order", "augmentation"])
def test_each_seed_moves_its_own_streams_alone(source: str, seen: Any) -> None:
    base, moved = seen(), seen(**{f"train__seeds__{source}": 7})
    differs = {
        name: base[key] != moved[key]
        for name, key in (("init", "head"), ("order", "order"), ("augmentation", "pictures"))
    }
    assert differs == {name: name == source for name in differs}
    assert not same(base["result"], moved["result"])


TASK = "classification"


def test_all_three_together_are_the_seed(store: Store) -> None:
    own = {f"train__seeds__{name}": 5 for name in ("init", "order", "augmentation")}
    assert same(run(store, **NOISY, **own), run(store, seed=5, **NOISY))


def key(seed: int, **changes: Any) -> str:
    params = small(**changes)
    return training_key(
        params.model, params.train, task=TASK, seed=seed, data="", device=torch.device("cpu"),
        num_threads=1, mode="native", environment=LOCK,
    )  # fmt: skip


def test_equal_seeds_are_one_training_however_they_are_given() -> None:
    own = {f"train__seeds__{name}": 5 for name in ("init", "order", "augmentation")}
    assert key(5) == key(0, **own)
    assert key(5) != key(0)
    assert key(0, train__seeds__order=5) != key(0, train__seeds__init=5)
