"""Networks that give maps to heads: entered anywhere, copied, kept, and read again, bit for bit."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sftcore.evaluation.predict import load_model, read_record, save_model
from sftcore.foundations.errors import WeightsError
from sftcore.foundations.randomness import seed_global
from sftcore.models.backbones import build_backbone
from sftcore.models.dense.heads import DenseHead, DenseSettings, head_settings, wanted_strides
from sftcore.models.dense.maps import Maps, contiguous_copy, to_bytes
from sftcore.models.dense.settings import DetectionHeadSettings, SegmentationHeadSettings
from sftcore.models.dense.taps import _RULES, find_taps
from sftcore.models.lora import LoraSettings, adapted
from sftcore.models.start import Start, build_start
from sftcore.models.values import pooled
from sftcore.tasks.names import BOXES, MASKS
from tests.models.dense.tiny import narrow

# A small network of each family whose maps are known, and what no map needs of it.
FAMILIES = {
    "timm/test_efficientnet": ("timm.EfficientNet", ("conv_head", "bn2")),
    "timm/mobilenetv3_small_050": ("timm.MobileNetV3", ("conv_head",)),
    "timm/test_resnet": ("timm.ResNet", ()),
    "torchvision/resnet18": ("torchvision.ResNet", ()),
    "torchvision/vgg11": ("torchvision.VGG", ("classifier",)),
    "torchvision/mobilenet_v2": ("torchvision.MobileNetV2", ("features.18",)),
    "torchvision/mobilenet_v3_small": ("torchvision.MobileNetV3", ("classifier",)),
    "torchvision/efficientnet_b0": ("torchvision.EfficientNet", ("features.8",)),
    "torchvision/convnext_tiny": ("torchvision.ConvNeXt", ("classifier",)),
}
# Of timm's families that are run as a whole: of one stride alone, and of four.
WHOLE = {
    "timm/test_vit": ("timm.VisionTransformer", ()),
    "timm/test_vit_relpos": ("timm.VisionTransformerRelPos", ("fc_norm",)),
    "timm/test_convnext": ("timm.ConvNeXt", ("head",)),
    "timm/test_byobnet": ("timm.ByobNet", ()),
    "timm/test_mambaout": ("timm.MambaOut", ("head",)),
}
EVERY = {**FAMILIES, **WHOLE}
HEADS: dict[str, DenseSettings] = {
    MASKS: SegmentationHeadSettings(width=8),
    BOXES: DetectionHeadSettings(width=8, num_convs=1),
}
SIDE, K = 64, 3
OUTPUTS = {MASKS: (2, K, 8, 8), BOXES: (2, 64 + 16 + 4, K + 5)}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)


def start_of(backbone: str, head: DenseSettings, dropout: float = 0.0) -> Start:
    """A network whose moving statistics are not those of a new one, in evaluation mode."""
    start = build_start(
        backbone=backbone, weights="none", num_classes=K, image_size=SIDE, dropout=dropout, seed=0,
        device=CPU, dense=head,
    )  # fmt: skip
    move_statistics(start.network.backbone)
    start.network.eval()
    return start


def move_statistics(module: nn.Module) -> None:
    for name, buffer in module.named_buffers():
        stream = torch.Generator().manual_seed(len(name))
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1, generator=stream)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=stream)


def pictures() -> Tensor:
    drawn = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return drawn.to(memory_format=torch.channels_last)


def of_every_family(test: Any) -> Any:
    marked = pytest.mark.parametrize("backbone", EVERY)(test)
    return pytest.mark.parametrize("task", HEADS)(marked)


def test_every_family_is_here() -> None:
    assert {family for family, _ in FAMILIES.values()} == set(_RULES)
    for name, (family, _) in EVERY.items():
        module = build_backbone(name, SIDE).module
        assert family == f"{name.partition('/')[0]}.{type(module).__name__}"


@of_every_family
@torch.no_grad()
def test_entered_at_any_block_the_bits_are_those_of_the_whole(task: str, backbone: str) -> None:
    network, x = start_of(backbone, HEADS[task]).network, pictures()
    count = len(network.blocks)
    assert count > 2
    whole, output = network.features(x), network(x)
    assert output.shape == OUTPUTS[task]
    assert isinstance(whole, Maps)
    assert whole.strides == network.strides == (8, 16, 32)
    assert [network.entry(block) for block in range(count + 1)] == sorted(
        network.entry(block) for block in range(count + 1)
    )
    assert (network.entry(0), network.entry(count)) == (0, len(network.segments))
    for block in range(count + 1):
        kept = network.run_blocks(x, 0, block)
        if isinstance(kept, Maps):
            kept = contiguous_copy(kept)
        assert to_bytes(network.features(kept, block)) == to_bytes(whole)
        assert torch.equal(network(kept, block), output)
        later = network.run_blocks(kept, block, count)
        outputs = network.block_outputs(kept, block)
        assert to_bytes(outputs[-1] if outputs else later) == to_bytes(later)
        assert to_bytes(network.features(later, count)) == to_bytes(whole)


@of_every_family
@torch.no_grad()
def test_the_maps_are_those_of_the_whole_backbone(task: str, backbone: str) -> None:
    network = start_of(backbone, HEADS[task]).network
    seed_global(0, "initialisation", "backbone")
    module = build_backbone(backbone, SIDE).module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    move_statistics(module)
    taps = find_taps(module.eval(), wanted_strides(HEADS[task]))
    assert to_bytes(network.features(pictures())) == to_bytes(taps.maps(pictures()))
    gone = set(module.state_dict()) - set(network.backbone.state_dict())
    assert {name for name in gone if name.startswith(EVERY[backbone][1])} == gone
    assert bool(gone) == bool(EVERY[backbone][1])


@of_every_family
def test_all_that_is_kept_learns(task: str, backbone: str) -> None:
    network = start_of(backbone, HEADS[task]).network.train()
    network(pictures()).square().sum().backward()
    assert [name for name, each in network.named_parameters() if each.grad is None] == []
    blocks = {network.block_of(name) for name, _ in network.named_parameters()}
    assert blocks == set(range(len(network.blocks) + 1))


@pytest.mark.parametrize("backbone", EVERY)
def test_a_frozen_copy_says_the_same_and_stays(backbone: str) -> None:
    network, x = start_of(backbone, HEADS[MASKS], dropout=0.5).network, pictures()
    wanted = network(x).detach()
    twin = network.train().frozen_copy()
    assert (twin.strides, twin.blocks) == (network.strides, network.blocks)
    assert not any(each.requires_grad for each in twin.parameters())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(twin(x), wanted)
    assert not torch.equal(network.eval()(x), wanted)


@pytest.mark.parametrize("backbone", EVERY)
def test_recomputed_activations_give_the_same_gradient(backbone: str) -> None:
    gradients = []
    for recomputes in (False, True):
        network = start_of(backbone, HEADS[BOXES]).network
        network.recomputes = recomputes
        network(pictures()).square().sum().backward()
        found = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(found))
    assert torch.equal(*gradients)
    assert gradients[0].any()


def saved(folder: Path, task: str, backbone: str, **changes: Any) -> Start:
    """A model in a folder, as the stage finetune writes it."""
    start = start_of(backbone, HEADS[task], dropout=0.25)
    record: dict[str, Any] = {
        "backbone": backbone, "dropout": 0.25, "pretrained": asdict(start.record),
        "num_threads": 1, "mode": "portable", "image_size": SIDE, "mean": start.record.mean,
        "std": start.record.std, "background": (1, 2, 3), "task": task,
        "head": HEADS[task].model_dump(), "facts": {"names": ["a", "b", "c"]},
    }  # fmt: skip
    save_model(folder, start.network.model_state(), record | changes)
    return start


@of_every_family
@torch.no_grad()
def test_a_model_that_is_read_again_says_the_same(task: str, backbone: str, tmp_path: Path) -> None:
    network = saved(tmp_path / "model", task, backbone).network
    model = load_model(tmp_path / "model")
    assert model.record.dense_head == HEADS[task]
    assert model.record.names == ["a", "b", "c"]
    assert model.network.state_dict().keys() == network.model_state().keys()
    assert torch.equal(model.network(pictures()), network(pictures()))


def test_a_record_whose_head_cannot_be_is_refused(tmp_path: Path) -> None:
    for number, head in enumerate(({"kind": "other"}, {"width": 12}, {"colour": 3})):
        saved(tmp_path / str(number), MASKS, "timm/test_efficientnet", head=head)
        with pytest.raises(WeightsError, match=r"(?s)model\.json is damaged .*dvc repro finetune"):
            read_record(tmp_path / str(number))


def test_the_head_of_a_record_is_that_of_its_target() -> None:
    fields = json.loads(json.dumps(HEADS[BOXES].model_dump()))
    assert head_settings("boxes", fields) == HEADS[BOXES]
    assert head_settings("masks", {"finest_stride": 4}) == SegmentationHeadSettings(finest_stride=4)
    assert head_settings("class", {}) is None


@pytest.mark.parametrize("task", HEADS)
def test_a_backbone_without_maps_is_refused_with_advice(task: str) -> None:
    with pytest.raises(WeightsError, match=r"not known where .*choose a backbone of timm\.Eff"):
        start_of("torchvision/shufflenet_v2_x0_5", HEADS[task])


@pytest.mark.parametrize("finest", [4, 8, 16, 32])
def test_a_head_takes_the_maps_from_its_finest_stride_on(finest: Any) -> None:
    head = SegmentationHeadSettings(width=8, finest_stride=finest)
    start = start_of("timm/test_efficientnet", head)
    maps = start.network.features(pictures())
    assert maps.strides == tuple(stride for stride in (4, 8, 16, 32) if stride >= finest)
    assert start.network(pictures()).shape == (2, K, SIDE // finest, SIDE // finest)
    torch.testing.assert_close(pooled(maps), maps[32].mean(dim=(2, 3)))


def test_dropout_takes_whole_channels_of_maps() -> None:
    head = DenseHead(HEADS[MASKS], {8: 6, 16: 6, 32: 6}, K, dropout=0.5)
    head.inner = nn.Identity()
    sizes = {8: 8, 16: 4, 32: 2}
    maps = Maps(tuple(sizes), tuple(torch.ones(4, 6, size, size) for size in sizes.values()))
    torch.manual_seed(0)
    for tensor in head.train()(maps).tensors:
        assert set(tensor.flatten(2).sum(dim=2).unique().tolist()) == {
            0.0,
            2.0 * tensor[0, 0].numel(),
        }
    assert to_bytes(head.eval()(maps)) == to_bytes(maps)


@torch.no_grad()
def test_lora_reaches_the_linear_maps_of_a_backbone_with_maps() -> None:
    network, plain = (start_of("torchvision/convnext_tiny", HEADS[BOXES]).network for _ in "ab")
    first_block = len(network.blocks) - 1
    network.adapt(LoraSettings(rank=2), first_block, seed=0)
    assert torch.equal(network(pictures()), plain(pictures()))
    names = [name for name, _ in adapted(network)]
    assert names
    assert {network.block_of(name) for name in names} == {first_block}
    for _, module in adapted(network):
        module.lora.b.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    learnt = network(pictures())
    assert not torch.allclose(learnt, plain(pictures()))
    plain.load_state_dict(network.model_state())
    torch.testing.assert_close(plain(pictures()), learnt, rtol=1e-4, atol=1e-4)
