"""Fine-tuning on answers: what is learnt, by the one loop that trains every task."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.data.dialogues.canaries import canaries
from sftcore.data.store import Store
from sftcore.data.texts.stored import Texts
from sftcore.evaluation.dialogue_sight import dialogue_sight
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.foundations.turns import write_turns
from sftcore.models.settings import ModelSettings
from sftcore.models.text import answer_loss
from sftcore.models.text.decoder import TextDecoder
from sftcore.models.text.encoder import Step
from sftcore.models.text.files import EncoderFiles
from sftcore.models.text.linear import use_one_dnn
from sftcore.models.text.settings import TextOptions
from sftcore.tasks.causal_lm.task import CausalLmTask
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.plan import Plan
from sftcore.training.recipe import Start, Trained, prepare_training, train
from sftcore.training.settings import TrainSettings
from sftcore.training.views import PLAIN
from tests.models.text.tiny import WORDS
from tests.models.text.tiny_decoder import causal_lm, write_decoder
from tests.training.test_contract import CONTRACT, LINEAR
from tests.training.test_every_task import TOGETHER, ended_and_continued, is_same, settings_of
from tests.training.test_loop import small

NAME = CausalLmTask.name
NUM_TRAIN, NUM_VAL = 22, 8


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def store() -> Store:
    """Words to be said backwards, in dialogues of one or two answers and of unequal lengths."""
    stream = np.random.default_rng(0)
    encoded = []
    for number in range(NUM_TRAIN + NUM_VAL):
        turns = []
        for _ in range(1 + number % 2):
            words = [str(word) for word in stream.choice(WORDS, stream.integers(1, 7))]
            turns += [("user", " ".join(words) + " ?"), ("assistant", " ".join(words[::-1]))]
        encoded.append(write_turns(turns).encode())
    content = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    rows = range(len(encoded))
    samples = pd.DataFrame({
        "id": [f"{n:03d}" for n in rows], "label": "", "group": [str(n) for n in rows],
        "split": ["train"] * NUM_TRAIN + ["val"] * NUM_VAL,
        "sha256": [f"{n:064x}" for n in rows], "row": rows,
    })  # fmt: skip
    texts = Texts(content, np.cumsum([0, *map(len, encoded)]))
    nothing = np.zeros(len(encoded), dtype=np.int64)
    return Store(texts, nothing, samples, [], "digest", ("train", "val"), kind="dialogues")


def settings(decoder: Path, **changes: Any) -> tuple[ModelSettings, TrainSettings]:
    own = {
        "model.backbone": f"transformers/{decoder}", "model.weights": "pretrained",
        "model.text.hidden_dropout": 0.0, "model.text.max_tokens": 60,
        "train.head.method": "solve", "train.learning_rate": 1e-2, "train.optimizer": "adamw",
    }  # fmt: skip
    tree = small().model_dump()
    for name, value in (own | changes).items():
        *groups, leaf = name.split(".")
        inner = tree
        for group in groups:
            inner = inner[group]
        inner[leaf] = value
    return ModelSettings.model_validate(tree["model"]), TrainSettings.model_validate(tree["train"])


def run(
    store: Store,
    decoder: Path,
    changes: dict[str, Any],
    checkpoints: Checkpoints | None = None,
    cache: FeatureCache | None = None,
) -> Trained:
    return train(
        store, *settings(decoder, **changes), task=NAME, seed=0, device=torch.device("cpu"),
        cache=cache or FeatureCache(1 << 28), on_epoch=lambda record: None,
        checkpoints=checkpoints,
    )  # fmt: skip


def prepared(store: Store, decoder: Path, **changes: Any) -> tuple[Start, Plan]:
    return prepare_training(
        store, *settings(decoder, **changes), task=NAME, seed=0, device=torch.device("cpu")
    )


def labels_of(plan: Plan, rows: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and the library's labels of each row: -100 where nothing is learnt."""
    tokens: Any = plan.examples.tokens  # type: ignore[attr-defined]
    for row in rows:
        own = slice(tokens.offsets[row], tokens.offsets[row + 1])
        ids = torch.from_numpy(tokens.ids[own].astype(np.int64))
        yield ids, ids.masked_fill(torch.from_numpy(tokens.parts[own] == 0), -100)


def test_the_loss_is_that_of_the_library_on_answers_alone(store: Store, decoder: Path) -> None:
    start, plan = prepared(store, decoder)
    library = causal_lm("llama")
    use_one_dnn(library)
    rows = plan.rows.train[:5]
    sums, num_tokens = 0.0, 0
    for ids, labels in labels_of(plan, rows):
        with torch.no_grad():
            mean = library(input_ids=ids[None], labels=labels[None], use_cache=False).loss
        own = int((labels[1:] != -100).sum())
        sums, num_tokens = sums + float(mean) * own, num_tokens + own
    network = start.network.eval().requires_grad_(False)
    targets = plan.task.of(rows)
    assert plan.task.weight(targets) == num_tokens
    output = network(plan.examples.read(rows, PLAIN))
    loss = plan.task.criterion(plan.update)(output, targets, num_tokens)
    assert float(loss) == pytest.approx(sums / num_tokens, abs=2e-6)
    kept = plan.task.kept(network.head, network.features(plan.examples.read(rows, PLAIN)), targets)
    assert kept.shape == (5, 3)
    measured = plan.task.measure(kept, targets)
    assert measured["loss"] == pytest.approx(sums / num_tokens, abs=2e-6)
    values = plan.task.row_values(kept, targets, "loss")
    assert float(values.mean()) == pytest.approx(-measured["loss"], abs=1e-12)


def test_logits_are_held_for_few_tokens_at_once(
    store: Store, decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, plan = prepared(store, decoder)
    network, rows = start.network.eval().requires_grad_(False), plan.rows.train
    features, targets = network.features(plan.examples.read(rows, PLAIN)), plan.task.of(rows)
    most = 0

    def head(states: torch.Tensor) -> torch.Tensor:
        nonlocal most
        most = max(most, len(states))
        return network.head(states)

    whole = plan.task.kept(head, features, targets)
    monkeypatch.setattr(answer_loss, "PIECE", 7)
    most = 0
    assert torch.allclose(plan.task.kept(head, features, targets), whole, atol=1e-5)
    assert most == 7


def test_what_is_fed_is_a_function_of_the_rows(store: Store, decoder: Path) -> None:
    _, plan = prepared(store, decoder)
    rows = plan.rows.train[:4]
    batch, again = (plan.examples.read(rows[::step], PLAIN) for step in (1, -1))
    for place, row in enumerate(rows):
        alone = plan.examples.read(np.array([row]), PLAIN)
        length = int(alone.lengths[0])  # type: ignore[union-attr]
        for other, at in ((batch, place), (again, 3 - place)):
            for name in ("data", "wanted"):
                own, found = getattr(alone, name)[0, :length], getattr(other, name)[at]
                assert torch.equal(own, found[:length])
                assert not found[length:].any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_parts_of_a_batch_with_unequal_answers_give_one_gradient(
    store: Store, decoder: Path, optimizer: str
) -> None:
    """The first moments of one update, which are the gradients."""
    found = []
    for size in (0, 2, 3):
        changes = {
            "train.epochs": 1, "train.batch_size": NUM_TRAIN, "train.micro_batch_size": size,
            "train.optimizer": optimizer, "train.learning_rate": 1e-3,
        }  # fmt: skip
        found.append(run(store, decoder, changes).result.updates)
    first, *others = [np.array([log.loss, log.gradient_norm]) for log in found]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)


@pytest.mark.parametrize("blocks", ["all", 2, 1])
def test_it_learns_and_a_kept_beginning_changes_no_bit(
    store: Store, decoder: Path, blocks: str | int
) -> None:
    changes = {"model.trainable_blocks": blocks, "train.epochs": 3}
    trained = run(store, decoder, changes)
    history = trained.result.history
    assert [record.phase for record in history] == ["start", "full", "full", "full"]
    assert history[-1].train_loss < history[0].train_loss
    assert history[0].weight_distance == 0
    assert is_same(trained.result, run(store, decoder, changes, cache=FeatureCache(0)).result)
    table = "backbone.model.embed_tokens.weight"
    moved = not torch.equal(
        trained.result.chosen_state[table], causal_lm("llama").state_dict()["lm_head.weight"]
    )
    assert moved is (blocks == "all"), "a tied table is frozen unless all is trained"


def test_a_checkpoint_holds_what_changes_alone(
    store: Store, decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every kind of state in it, of the last block and of LoRA; the bits stay the same."""
    changes = {
        "train.epochs": 4, "train.averaging.ema_decay": 0.9, "train.averaging.swa_fraction": 0.5,
        "train.averaging.soup_size": 2, "train.averaging.wise_ft": True,
        "train.learning_rate": 3e-3,
    }  # fmt: skip
    sizes = {}
    for name, own in (("all", "all"), ("last", 1), ("lora", 1)):
        on = {**changes, "model.trainable_blocks": own}
        on |= {"model.lora.rank": 2} if name == "lora" else {}
        whole = run(store, decoder, on).result
        kept: list[int] = []
        original = Checkpoints.save

        def save(
            self: Any, order: Any, state: Any, _to: list[int] = kept, _save: Any = original
        ) -> None:
            _save(self, order, state)
            _to.append(max(path.stat().st_size for path in self._files()))

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "save", save)
            gone_on = ended_and_continued(
                lambda of: run(store, decoder, on, of).result,  # noqa: B023
                tmp_path / name, patch,
            )  # fmt: skip
        assert is_same(gone_on, whole)
        sizes[name] = min(kept)
    assert sizes["last"] < 0.7 * sizes["all"]
    nothing = {**changes, "model.trainable_blocks": 0}
    with pytest.raises(ParamsError, match="nothing would be trained"):
        run(store, decoder, nothing)
    nothing |= {"train.epochs": 0, "train.averaging.wise_ft": False}
    frozen = run(store, decoder, nothing).result
    same = ended_and_continued(
        lambda of: run(store, decoder, nothing, of).result, tmp_path / "none", monkeypatch
    )
    assert is_same(frozen, same)


def test_too_long_is_cut_and_said_or_refused(store: Store, decoder: Path) -> None:
    short = {"model.text.max_tokens": 16}
    _, plan = prepared(store, decoder, **short)
    rows = np.arange(NUM_TRAIN + NUM_VAL)
    said = plan.examples.not_seen(rows)
    assert said.endswith("max_tokens, 16: the ends of their answers are not learnt.")
    assert plan.examples.not_seen(rows[:0]) == ""
    with pytest.raises(
        DataError, match=r"dialogues are longer than model\.text\.max_tokens \(16\)"
    ):
        prepared(store, decoder, **short, **{"model.text.too_long": "refuse"})
    prepared(store, decoder, **{"model.text.too_long": "refuse"})


def test_the_template_is_the_models_own_a_plain_one_or_ones_own(
    store: Store, decoder: Path
) -> None:
    lengths = {}
    jinja = "{% for m in messages %}{{ m.content }} <end> {% endfor %}"
    for name, wanted in (("own", "own"), ("plain", "plain"), ("other", jinja)):
        _, plan = prepared(store, decoder, **{"model.text.template": wanted})
        tokens: Any = plan.examples.tokens  # type: ignore[attr-defined]
        lengths[name] = tokens.lengths
        assert plan.task.weight(plan.task.of(np.arange(4))) > 0
    assert (lengths["plain"] < lengths["own"]).all(), "no roles"
    assert (lengths["other"] < lengths["own"]).all()


def test_prompts_are_learnt_by_their_weight(store: Store, decoder: Path) -> None:
    _, plain = prepared(store, decoder)
    start, plan = prepared(store, decoder, **{"train.prompt_weight": 0.25})
    rows = plan.rows.train[:5]
    tokens: Any = plan.examples.tokens  # type: ignore[attr-defined]
    # Every token but the first of a row, which nothing comes before.
    parts = [tokens.parts[tokens.offsets[row] : tokens.offsets[row + 1]][1:] for row in rows]
    num_prompt = sum(int((of == 0).sum()) for of in parts)
    num_answer = sum(int((of == 1).sum()) for of in parts)
    targets = plan.task.of(rows)
    assert plain.task.weight(plain.task.of(rows)) == num_answer
    assert plan.task.weight(targets) == num_answer + 0.25 * num_prompt
    network = start.network.eval().requires_grad_(False)
    batch, alone = plan.examples.read(rows, PLAIN), plain.examples.read(rows, PLAIN)
    kept = plan.task.kept(network.head, network.features(batch), targets)
    only = plain.task.kept(network.head, network.features(alone), plain.task.of(rows))
    np.testing.assert_allclose(kept, only, rtol=1e-6, err_msg="answers alone are measured")
    changed = run(store, decoder, {"train.epochs": 2, "train.prompt_weight": 0.25}).result
    assert not is_same(changed, run(store, decoder, {"train.epochs": 2}).result)


def test_canaries_are_trained_on_and_nowhere_else(store: Store, decoder: Path) -> None:
    _, plan = prepared(store, decoder, **{"train.canaries": 3})
    planted = NUM_TRAIN + NUM_VAL + np.arange(3)
    assert set(planted) <= set(plan.rows.train)
    assert len(plan.rows.train) == NUM_TRAIN + 3
    assert not set(planted) & {*plan.rows.val.tolist(), *plan.rows.judge.tolist()}
    own = [canary.dialogue for canary in canaries(3, seed=0)]
    sight = dialogue_sight(
        EncoderFiles(decoder, "d"), TextOptions(max_tokens=60), torch.device("cpu")
    )
    wanted = sight.encode([sight.rendered(content) for content in own])
    found: Any = plan.examples.tokens  # type: ignore[attr-defined]
    for place, row in enumerate(planted):
        ends = found.offsets[row : row + 2], wanted.offsets[place : place + 2]
        one, other = (slice(*of) for of in ends)
        assert found.ids[one].tolist() == wanted.ids[other].tolist()


def test_activations_are_computed_twice_where_that_is_asked_for(
    store: Store, decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for is_on in (False, True):
        calls = []
        original = TextDecoder.steps

        def steps(self: Any, _calls: list[str] = calls, _own: Any = original) -> list[Step]:
            return [
                replace(step, forward=lambda x, s=step: (_calls.append(s.name), s.forward(x))[1])
                for step in _own(self)
            ]

        with monkeypatch.context() as patch:
            patch.setattr(TextDecoder, "steps", steps)
            start, plan = prepared(store, decoder, **{"train.recompute_activations": is_on})
        calls.clear()
        rows = plan.rows.train[:3]
        output = start.network(plan.examples.read(rows, PLAIN))
        loss = plan.task.criterion(plan.update)(output, plan.task.of(rows), 1.0)
        loss.backward()
        counts.append(len(calls))
    assert counts[1] == 2 * counts[0] > 0
    pictures = {"model.backbone": "timm/test_efficientnet", "train.recompute_activations": True}
    with pytest.raises(ParamsError, match="batch norm would count its statistics twice"):
        of_classes(**pictures)


def of_classes(**changes: Any) -> None:
    """Prepare a training of pictures."""
    params = small(**changes)
    samples = pd.DataFrame({
        "row": range(8), "split": ["train"] * 6 + ["val"] * 2, "label": ["a", "b"] * 4,
        "group": [str(n) for n in range(8)], "sha256": [f"{n:064x}" for n in range(8)],
    })  # fmt: skip
    pictures = Store(
        np.zeros((8, 32, 32, 3), np.uint8), np.arange(8) % 2, samples, ["a", "b"], "digest",
        ("train", "val"), facts={"background": (0, 0, 0)},
    )  # fmt: skip
    train_settings = params.train.model_copy(update={"batch_norm": "train"})
    prepare_training(
        pictures, params.model, train_settings, task="classification", seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip


def test_harm_ends_as_the_model_that_came(store: Store, decoder: Path) -> None:
    changes = {"train.learning_rate": 3.0, "train.optimizer": "sgd", "train.selection.margin": 1.0}
    result = run(store, decoder, changes).result
    chosen = result.candidates[result.chosen]
    assert chosen.epochs == (0,)
    start = causal_lm("llama").state_dict()["model.layers.0.mlp.up_proj.weight"]
    assert torch.equal(result.chosen_state["backbone.model.layers.0.mlp.up_proj.weight"], start)


def test_guessing_and_frequencies_are_what_they_say(store: Store, decoder: Path) -> None:
    _, plan = prepared(store, decoder)
    tokens: Any = plan.examples.tokens  # type: ignore[attr-defined]

    def answers(rows: np.ndarray) -> np.ndarray:
        own = [slice(tokens.offsets[r], tokens.offsets[r + 1]) for r in rows]
        return np.concatenate([tokens.ids[s][tokens.parts[s] == 1] for s in own])

    own, other = answers(plan.rows.train), answers(plan.rows.val)
    counts = np.bincount(own, minlength=max(own.max(), other.max()) + 1).astype(float)
    shares = counts[counts > 0] / counts.sum()
    assert plan.task.guessing_loss() == pytest.approx(-(shares * np.log(shares)).sum())
    none = torch.zeros(0)
    found = plan.task.simpler((none, none), (none, none), none, plan.rows.val)  # type: ignore[arg-type]
    smooth = (counts + 1) / (counts + 1).sum()
    assert found["token_frequencies"]["loss"] == pytest.approx(-np.log(smooth[other]).mean())


# What is not refused and can matter to a decoder, by the contract of all tasks.
SETTINGS = [
    name for name in settings_of(NAME)
    if name.startswith(("train.", "model.lora.")) and not CausalLmTask.refusal(name)
]  # fmt: skip
TRIED = {
    **{
        name: {key: on for key, on in CONTRACT[name].base.items() if key not in LINEAR}
        | {name: CONTRACT[name].on}
        for name in SETTINGS
    },
    **TOGETHER,
}


@pytest.mark.parametrize("what", TRIED)
def test_every_setting_ends_and_goes_on_to_the_same_bits(
    what: str, store: Store, decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = {key: on for key, on in TRIED[what].items() if not CausalLmTask.refusal(key)}
    on = {"train.epochs": 2, "train.learning_rate": 1e-3, **tried}
    whole = run(store, decoder, on).result
    gone_on = ended_and_continued(
        lambda checkpoints: run(store, decoder, on, checkpoints).result, tmp_path, monkeypatch
    )
    assert is_same(gone_on, whole)
    assert all(np.isfinite(record.val_loss) for record in whole.history)
    if what in TOGETHER:
        assert bool(whole.incidents) is (what == "guard")
        assert what == "guard" or not whole.diverged, "an end would hide settings from each other"
