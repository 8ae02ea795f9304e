import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import Backbone, build_backbone
from sftcore.models.start import build_start
from sftcore.models.weights import load_weights, read_state
from sftcore.settings.tree import load_params, override
from sftcore.training.keys import training_key

PARAMS = Path(__file__).parent.parent.parent / "params.yaml"
TINY = "timm/test_efficientnet"
TASK = "classification"


def tiny() -> tuple[Backbone, dict[str, Tensor]]:
    """A small backbone and other weights for it, classifier included."""
    torch.manual_seed(1)
    return build_backbone(TINY, 32), timm.create_model("test_efficientnet").state_dict()


def holds(backbone: Backbone, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, state[name]) for name, t in backbone.module.state_dict().items())


def test_the_packaged_weights_know_palaces_and_daisies() -> None:
    """Real pictures, so that a wrong mapping or a wrong normalisation shows."""
    import numpy as np
    from PIL import Image, ImageOps
    from sklearn.datasets import load_sample_image

    from sftcore.data.loader import normalize, to_unit_range
    from sftcore.models.packaged import PACKAGED

    packaged = PACKAGED["timm/tf_efficientnet_lite0"]
    from importlib import resources

    module, _, inner = packaged.file.partition("/")
    with resources.as_file(resources.files(module) / inner) as path:
        state = torch.load(path, weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict({packaged.rename(name): tensor for name, tensor in state.items()})
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):  # palace, daisy
        image = Image.fromarray(load_sample_image(name))
        image = ImageOps.fit(image, (256, 256), 3).crop((16, 16, 240, 240))
        batch = to_unit_range(np.array(image)[None], torch.device("cpu"))
        logits = model(normalize(batch, packaged.record.mean, packaged.record.std))
        assert int(logits.argmax()) == label


def test_package_weights_fill_the_backbone_and_carry_their_record() -> None:
    backbone = build_backbone("timm/tf_efficientnet_lite0", 64)
    before = backbone.module.state_dict()["conv_stem.weight"].clone()
    record, _ = load_weights(backbone, "package")
    assert not torch.equal(before, backbone.module.state_dict()["conv_stem.weight"])
    assert (record.mean, record.std, record.input_size) == ((0.5,) * 3, (0.5,) * 3, 224)
    with pytest.raises(WeightsError, match="no pip package carries weights"):
        load_weights(build_backbone(TINY, 32), "package")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".wrapped.pth"])
def test_a_file_is_loaded_exactly(tmp_path: Path, suffix: str) -> None:
    backbone, state = tiny()
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if "wrapped" in suffix else state, path)
    record, _ = load_weights(backbone, str(path))
    assert holds(backbone, state)
    assert record.origin == f"file {path.name}"
    assert len(record.sha256) == 64


def test_a_record_beside_the_file_wins(tmp_path: Path) -> None:
    backbone, state = tiny()
    save_file(state, tmp_path / "w.safetensors")
    given = {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "input_size": 96, "licence": "CC0"}
    (tmp_path / "w.json").write_text(json.dumps(given))
    record, _ = load_weights(backbone, str(tmp_path / "w.safetensors"))
    assert (record.mean, record.input_size, record.licence) == ((0.1, 0.2, 0.3), 96, "CC0")
    (tmp_path / "w.json").write_text('{"means": [0, 0, 0]}')
    with pytest.raises(WeightsError, match=r"unknown keys means; allowed: .*mean"):
        load_weights(backbone, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("deit_tiny_distilled_patch16_224", ("head", "head_dist")),
        ("levit_128s", ("head.bn", "head.linear", "head_dist.bn", "head_dist.linear")),
        ("repvit_m1", ("head.head.bn", "head.head.l", "head.head_dist.bn", "head.head_dist.l")),
        ("efficientformerv2_s0", ("head", "head_dist")),
        ("volo_d1_224", ("aux_head", "head")),
    ],
)
def test_networks_with_several_classifiers_load(
    tmp_path: Path, name: str, taken: tuple[str, ...]
) -> None:
    backbone = build_backbone(f"timm/{name}", 32)
    sized = {"img_size": 32} if backbone.sizes else {}
    state = timm.create_model(name, **sized).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    _, classifier = load_weights(backbone, str(tmp_path / "w.safetensors"))
    assert holds(backbone, state)
    assert set(taken) <= set(backbone.classifier)
    assert set(classifier) == set(state) - set(backbone.module.state_dict())
    assert backbone.module(torch.rand(2, 3, 32, 32)).shape == (2, backbone.num_features)


def test_of_two_classifiers_none_is_that_of_the_features(tmp_path: Path) -> None:
    state = timm.create_model("deit_tiny_distilled_patch16_224", img_size=32).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="Co-Tuning needs the classifier"):
        build_start(
            backbone="timm/deit_tiny_distilled_patch16_224",
            weights=str(tmp_path / "w.safetensors"), num_classes=2, image_size=32, dropout=0.0,
            seed=0, device=torch.device("cpu"), with_source_head=True,
        )  # fmt: skip


@pytest.mark.parametrize("model", ["googlenet", "mnasnet0_5", "squeezenet1_1"])
def test_weights_of_torchvision_fit_whatever_they_carry_besides(tmp_path: Path, model: str) -> None:
    from torchvision import models

    aux = {"init_weights": False} if model == "googlenet" else {}
    state = models.get_model(model, **aux).state_dict()
    save_file(dict(state), tmp_path / "w.safetensors")
    backbone = build_backbone(f"torchvision/{model}", 64)
    load_weights(backbone, str(tmp_path / "w.safetensors"))
    assert holds(backbone, state)


def test_the_record_beside_a_file_is_in_the_key_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    params = override(load_params(PARAMS), {"model.weights": str(path)}, "test")

    def key() -> str:
        return training_key(
            params.model, params.train, task=TASK, seed=0,
            data="", device=torch.device("cpu"), num_threads=1,
            mode="portable", environment=PARAMS,
        )  # fmt: skip

    keys = {key()}
    for mean in (0.1, 0.2):
        (tmp_path / "w.json").write_text(json.dumps({"mean": [mean] * 3}))
        keys.add(key())
    path.write_bytes(path.read_bytes()[:-1] + b"1")
    assert len(keys | {key()}) == 4


def test_missing_extra_and_misshapen_tensors_are_listed_on_both_sides(tmp_path: Path) -> None:
    backbone, state = tiny()
    names = [name for name in state if name.endswith("weight")]
    state["stranger.weight"] = state.pop(names[0])
    state[names[1]] = torch.zeros(1, 2)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_weights(backbone, str(tmp_path / "w.safetensors"))
    message = str(caught.value)
    assert f"only in the backbone (1):\n    {names[0]}" in message
    assert "only in the weights (1):\n    stranger.weight" in message
    assert f"of another shape (1):\n    {names[1]}" in message
    assert "weights [1, 2]" in message


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code ran')",))


def test_files_that_are_no_tensors_are_refused_and_run_no_code(tmp_path: Path) -> None:
    torch.save({"a": Bomb()}, tmp_path / "bomb.pt")
    torch.save({"a": 3}, tmp_path / "number.pt")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("bomb.pt", "number.pt", "text.safetensors"):
        with pytest.raises(WeightsError, match=name):
            read_state(tmp_path / name)
    with pytest.raises(WeightsError, match="nor a file that exists"):
        load_weights(tiny()[0], str(tmp_path / "none.pt"))


def test_torchvision_weights_come_by_its_own_download_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.manual_seed(5)
    state = resnet18().state_dict()
    file = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    torch.save(state, file)
    backbone = build_backbone("torchvision/resnet18", 64)
    record, _ = load_weights(backbone, "pretrained:IMAGENET1K_V1")
    assert holds(backbone, state)
    assert record.mean == (0.485, 0.456, 0.406)
    with pytest.raises(WeightsError, match="IMAGENET1K_V1"):
        load_weights(backbone, "pretrained:NONE")


def test_torchvision_transformers_take_another_picture_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import ViT_B_32_Weights, vit_b_32

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    file = tmp_path / "hub" / "checkpoints" / Path(ViT_B_32_Weights.DEFAULT.url).name
    torch.save(vit_b_32().state_dict(), file)
    backbone = build_backbone("torchvision/vit_b_32", 96)
    load_weights(backbone, "pretrained")
    assert backbone.module.state_dict()["encoder.pos_embedding"].shape == (1, 10, 768)


def test_timm_weights_come_by_its_own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as hub

    config = timm.get_pretrained_cfg("test_efficientnet")
    assert config is not None
    assert config.hf_hub_id is not None
    backbone, state = tiny()
    commit = "0" * 40
    root = tmp_path / f"models--{config.hf_hub_id.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True)
    save_file(state, root / "snapshots" / commit / "model.safetensors")
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    record, _ = load_weights(backbone, "pretrained")
    assert holds(backbone, state)
    assert record.origin == "timm download default"


def test_no_network_says_what_else_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    dead = resnet.ResNet18_Weights.DEFAULT
    monkeypatch.setattr(type(dead), "url", "http://127.0.0.1:9/w-00000000.pth", raising=False)
    with pytest.raises(WeightsError, match=r"Without a network, set model\.weights to a file"):
        load_weights(build_backbone("torchvision/resnet18", 32), "pretrained")
