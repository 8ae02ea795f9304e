"""What frozen blocks give is computed once, whoever of the training asks for it."""

from collections import Counter

import numpy as np
import pytest
import torch

from sftcore.data.store import Store
from sftcore.models.values import content_of
from sftcore.training.inputs import FeatureCache, Inputs
from sftcore.training.recipe import prepare_training
from sftcore.training.settings import Phase
from tests.training.test_every_task import DEVICE, TEXTS, settings, store_of
from tests.training.test_loop import run


@pytest.mark.parametrize("task", ["classification", TEXTS])
def test_what_is_kept_on_the_way_is_what_its_own_pass_gives(store: Store, task: str) -> None:
    start, plan = prepare_training(
        store_of(store, task), *settings(task, **{"model.trainable_blocks": 1}),
        task=task, seed=0, device=DEVICE,
    )  # fmt: skip
    network, cache = start.network.eval(), FeatureCache(1 << 28)
    rows, head = plan.rows.val, len(network.blocks)
    full: Phase = plan.phases[-1]
    assert full.first_block == head - 1
    features = plan.inputs(network, head, cache).features(rows)
    assert len(cache.values) == 2, "the head's features, and what the last block takes"
    taken = plan.inputs(network, full.first_block, cache).reader(rows)(rows)
    assert len(cache.values) == 2

    def alone(block: int) -> Inputs:
        return Inputs(
            network, plan.examples, first_block=block, pool=plan.rows.pool,
            frozen_identity="alone", cache=FeatureCache(1 << 28),
        )  # fmt: skip

    assert torch.equal(features, alone(head).features(rows))
    again = alone(full.first_block).reader(rows)(rows)
    assert torch.equal(content_of(taken), content_of(again))


def test_a_training_looks_at_its_examples_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: Counter[int] = Counter()
    original = Inputs._compute

    def counted(self: Inputs, rows: np.ndarray, *rest: object) -> object:
        passes.update((rows & 0xFFFFFFFF).tolist())
        return original(self, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Inputs, "_compute", counted)
    run(store, FeatureCache(1 << 28), model__trainable_blocks=1, train__head__method="solve")
    assert passes
    assert set(passes.values()) == {1}
