"""What a training on texts has of its own: tokens, noise, layers that begin anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.store import Store
from sftcore.foundations.errors import ParamsError, WeightsError
from sftcore.models.settings import ModelSettings
from sftcore.models.start import build_start
from sftcore.settings.tree import check_params, refuse_backbone
from sftcore.tasks.registry import TASKS
from sftcore.training import objective
from sftcore.training.inputs import FeatureCache
from sftcore.training.keys import training_key
from sftcore.training.measure import outputs_of
from sftcore.training.recipe import begin_anew, prepare_training, train
from sftcore.training.settings import TrainSettings
from sftcore.training.texts import TokenisedTexts
from tests.models.text.tiny import write_encoder
from tests.training.test_every_task import DEVICE, TEXTS, encoder, run, settings, store_of


def examples_of(store: Store, **changes: Any) -> TokenisedTexts:
    _, plan = prepare_training(
        store_of(store, TEXTS), *settings(TEXTS, **changes), task=TEXTS, seed=0, device=DEVICE
    )
    assert isinstance(plan.examples, TokenisedTexts)
    return plan.examples


def test_hidden_tokens_are_a_function_of_seed_epoch_and_row(store: Store) -> None:
    texts, rows = examples_of(store), np.arange(12)
    how = AugmentationSettings(token_dropout=0.4)
    view = texts.view(how, rows, seed=3, epoch=1)
    plain = texts.read(rows, texts.view(AugmentationSettings(), rows, seed=3, epoch=1))
    hidden = texts.read(rows, view)
    is_hidden = hidden.data != plain.data
    assert 0.2 < is_hidden[plain.is_real].float().mean() < 0.45
    assert set(hidden.data[is_hidden].tolist()) == {texts.tokenizer.mask_id}
    assert not is_hidden[torch.isin(plain.data, torch.tensor(texts.tokenizer.special_ids))].any()
    alone = texts.read(rows[7:8], view)
    count = int(alone.lengths[0])
    assert torch.equal(alone.data[0, :count], hidden.data[7, :count])
    other = texts.read(rows, texts.view(how, rows, seed=3, epoch=2))
    assert not torch.equal(other.data, hidden.data)
    again = texts.read(np.array([7, 7 + (1 << 32)]), view)
    assert not torch.equal(again.data[0], again.data[1])


def test_the_largest_text_has_the_most_tokens(store: Store) -> None:
    texts = examples_of(store)
    rows = np.array([4, 9, 2, 30])
    largest = texts.largest(rows)
    assert largest in rows
    assert texts.tokens.lengths[largest] == texts.tokens.lengths[rows].max()


def test_outputs_are_in_the_order_of_the_rows_whatever_their_lengths(store: Store) -> None:
    start, plan = prepare_training(
        store_of(store, TEXTS), *settings(TEXTS), task=TEXTS, seed=0, device=DEVICE
    )
    assert isinstance(plan.examples, TokenisedTexts)
    rows = plan.rows.train[::-1].copy()
    lengths = plan.examples.tokens.lengths[plan.examples.arranged(rows)]
    assert (np.diff(lengths) >= 0).all()
    network = start.network.eval()
    for first_block in (0, len(network.blocks)):
        inputs = plan.inputs(network, first_block, FeatureCache(1 << 28))
        together = outputs_of(network, inputs, rows, plan.task)
        alone = torch.cat([
            outputs_of(network, inputs, rows[i : i + 1], plan.task) for i in range(len(rows))
        ])  # fmt: skip
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_text_that_is_drawn_again_has_noise_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []
    original = objective.neftune_noise

    def kept(*args: Any, **named: Any) -> Any:
        drawn.append(named["rows"])
        return original(*args, **named)

    monkeypatch.setattr(objective, "neftune_noise", kept)
    balanced = {"train.imbalance.balanced_sampling": 1.0, "train.embeddings.noise": 5.0}
    run(store, TEXTS, {"train.epochs": 1, **balanced})
    rows = np.concatenate(drawn)
    assert len(np.unique(rows & 0xFFFFFFFF)) < len(rows), "none was drawn twice"
    assert len(np.unique(rows)) == len(rows)


def test_texts_that_lose_their_ends_are_counted(store: Store) -> None:
    rows = np.arange(36)
    assert examples_of(store).not_seen(rows) == ""
    texts = examples_of(store, **{"model.text.max_tokens": 8})
    num_long = int((examples_of(store).tokens.lengths > 8).sum())
    assert 0 < num_long < 36
    assert texts.not_seen(rows).startswith(f"{num_long} of 36 texts for training and validation")


def test_kept_features_give_nearly_what_computing_them_gives(store: Store) -> None:
    """Padding moves the last digits, so not to the bit; see sftcore.models.values."""
    results = []
    for budget in (0, 1 << 28):
        results.append(train(
            store_of(store, TEXTS),
            *settings(TEXTS, **{"model.trainable_blocks": 1, "train.epochs": 2}),
            task=TEXTS, seed=0, device=DEVICE, cache=FeatureCache(budget),
            on_epoch=lambda record: None,
        ).result)  # fmt: skip
    for record, other in zip(*(result.history for result in results), strict=True):
        assert record.val_loss == pytest.approx(other.val_loss, abs=1e-4)


def test_noise_reaches_updates_and_no_measurement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = objective.noise_added

    def counted(embedding: Any, noise: Any) -> Any:
        asked.append(len(noise))
        return original(embedding, noise)

    monkeypatch.setattr(objective, "noise_added", counted)
    run(store, TEXTS, {"train.epochs": 2, "train.head.epochs": 1, "train.embeddings.noise": 5.0})
    num_train = len(store.split("train"))
    assert sum(asked) == 2 * num_train, "the head phase computes no embeddings"
    asked.clear()
    run(store, TEXTS, {"train.epochs": 1, "train.embeddings.r3f": 1.0, "train.micro_batch_size": 3})
    assert sum(asked) == num_train


@pytest.mark.parametrize(("trainable_blocks", "unfreeze_every_epochs"), [(2, 0), ("all", 1)])
def test_embeddings_behind_frozen_blocks_are_refused(
    trainable_blocks: Any, unfreeze_every_epochs: int
) -> None:
    tree = {
        "task": TEXTS,
        "model": {"backbone": encoder(), "trainable_blocks": trainable_blocks},
        "train": {
            "embeddings": {"noise": 5.0}, "unfreeze_every_epochs": unfreeze_every_epochs,
        },
    }  # fmt: skip
    with pytest.raises(ParamsError, match=r"set model\.trainable_blocks all and"):
        check_params(tree)


@pytest.mark.parametrize(
    ("task", "backbone", "wanted"),
    [(TEXTS, "timm/resnet18", "transformers/<name"), ("regression", "transformers/a/b", "timm/")],
)
def test_a_network_of_other_examples_is_refused(task: str, backbone: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"learns from .* set {wanted}"):
        refuse_backbone(TASKS[task], backbone)


def test_layers_begin_anew_and_no_others(store: Store) -> None:
    model, _ = settings(TEXTS)
    networks = [
        build_start(
            backbone=model.backbone, weights=model.weights, num_classes=3, dropout=0.0, seed=0,
            device=DEVICE, text=model.text,
        ).network
        for _ in range(2)
    ]  # fmt: skip
    first = networks[0].blocks.index("layers.1")
    begin_anew(networks[1], 2, first, seed=0)
    changed = {
        name.partition("layer.")[2].partition(".")[0]
        for (name, one), two in zip(
            networks[0].named_parameters(), networks[1].parameters(), strict=True
        )
        if not torch.equal(one, two)
    }
    assert changed == {"1", "2"}
    with pytest.raises(ParamsError, match=r"raise model\.trainable_blocks"):
        begin_anew(networks[1], 2, first + 1, seed=0)
    with pytest.raises(WeightsError, match="9 layers are asked for, and the encoder has 3"):
        begin_anew(networks[1], 9, 0, seed=0)


def test_frozen_layers_that_would_stay_random_are_refused_before_training(store: Store) -> None:
    changes = {"model.trainable_blocks": 1, "model.text.reinitialized_layers": 2}
    with pytest.raises(ParamsError, match="must be trained"):
        run(store, TEXTS, changes)


def test_other_files_under_one_name_are_another_training(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    folder = write_encoder(tmp_path / "encoder")
    keys = set()
    for seed in (1, 1, 2):
        write_encoder(folder, seed=seed)
        keys.add(
            training_key(
                ModelSettings(backbone=f"transformers/{folder}", weights="pretrained"),
                TrainSettings(), task=TEXTS, seed=0, data="", device=DEVICE, num_threads=1,
                mode="portable", environment=tmp_path / "lock",
            )
        )  # fmt: skip
    assert len(keys) == 2
