"""Every family of timm and torchvision, trained for two updates: ``python -m benchmarks.families``.

With the shipped settings but for the weights (none), the batch (2) and the length. Prints a
Markdown table: blocks, where the network can be entered, how many tensors were trained, what became
of the loss. Writes nothing.
"""

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sftcore.data.store import Store
from sftcore.foundations.errors import SFTError
from sftcore.foundations.runtime import set_up
from sftcore.models.depth import find_depth
from sftcore.models.segments import split_segments
from sftcore.settings.tree import load_params, override
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import Trained, train

# The network with the fewest parameters of every module and class, and the smallest side of 32, 64,
# 96, ... that it takes.
FAMILIES: dict[str, int] = {
    "timm/beit_base_patch16_224": 64,
    "timm/halonet_h1": 256,
    "timm/test_byobnet": 32,
    "timm/cait_xxs24_224": 32,
    "timm/coat_tiny": 32,
    "timm/convit_tiny": 32,
    "timm/convmixer_768_32": 32,
    "timm/test_convnext": 32,
    "timm/cpubone_nano": 32,
    "timm/crossvit_tiny_240": 240,
    "timm/csatv2": 64,
    "timm/cs3darknet_focus_s": 32,
    "timm/cspnext_tiny": 32,
    "timm/davit_tiny": 32,
    "timm/deit_tiny_patch16_224": 32,
    "timm/deit_tiny_distilled_patch16_224": 32,
    "timm/densenet121": 32,
    "timm/dla46x_c": 32,
    "timm/dpn48b": 32,
    "timm/edgenext_xx_small": 32,
    "timm/efficientformer_l1": 224,
    "timm/efficientformerv2_s0": 32,
    "timm/test_efficientnet": 32,
    "timm/efficientvim_m1": 32,
    "timm/efficientvim_m1_dist": 32,
    "timm/efficientvit_b0": 32,
    "timm/efficientvit_l1": 32,
    "timm/efficientvit_m0": 32,
    "timm/vit_tiny_patch16_dinov3_qkvb": 32,
    "timm/fasternet_t0": 32,
    "timm/fastvit_t8": 32,
    "timm/focalnet_tiny_srf": 32,
    "timm/gcvit_xxtiny": 32,
    "timm/ghostnet_050": 32,
    "timm/hardcorenas_b": 32,
    "timm/hgnetv2_b0": 32,
    "timm/hiera_tiny_224": 32,
    "timm/sam2_hiera_tiny": 32,
    "timm/hrnet_w18_small": 32,
    "timm/iformer_t": 32,
    "timm/inception_next_atto": 32,
    "timm/inception_resnet_v2": 96,
    "timm/inception_v3": 96,
    "timm/inception_v4": 96,
    "timm/lcnetv2_small": 32,
    "timm/levit_256d": 32,
    "timm/levit_128s": 32,
    "timm/lowformer_b0": 32,
    "timm/test_mambaout": 32,
    "timm/test_coatnet": 32,
    "timm/poolformerv2_s12": 32,
    "timm/gmlp_ti16_224": 32,
    "timm/mobilenetv3_small_050": 32,
    "timm/mobilenetv5_base": 64,
    "timm/mobilevit_xxs": 32,
    "timm/mvitv2_tiny": 32,
    "timm/naflexvit_base_patch16_parfac_gap": 64,
    "timm/nasnetalarge": 64,
    "timm/nest_tiny": 32,
    "timm/nextvit_small": 32,
    "timm/test_nfnet": 32,
    "timm/pit_ti_224": 32,
    "timm/pnasnet5large": 64,
    "timm/pvt_v2_b0": 32,
    "timm/qwen3_vit_88m": 64,
    "timm/rdnet_tiny": 32,
    "timm/regnetx_002": 32,
    "timm/repghostnet_050": 32,
    "timm/repvit_m1": 32,
    "timm/res2next50": 32,
    "timm/resnest14d": 32,
    "timm/test_resnet": 32,
    "timm/resnetv2_18": 32,
    "timm/rexnet_100": 32,
    "timm/selecsls42": 32,
    "timm/legacy_seresnet18": 32,
    "timm/sequencer2d_s": 32,
    "timm/shvit_s1": 32,
    "timm/skresnet18": 32,
    "timm/starnet_s050": 32,
    "timm/swiftformer_xs": 32,
    "timm/swin_tiny_patch4_window7_224": 32,
    "timm/swinv2_tiny_window16_256": 32,
    "timm/swinv2_cr_tiny_224": 32,
    "timm/tiny_vit_5m_224": 32,
    "timm/tnt_s_legacy_patch16_224": 32,
    "timm/tresnet_m": 32,
    "timm/twins_svt_small": 32,
    "timm/vgg11": 64,
    "timm/visformer_tiny": 32,
    "timm/test_vit": 32,
    "timm/vit_tiny_r_s16_p8_224": 32,
    "timm/test_vit_relpos": 32,
    "timm/samvit_base_patch16_224": 64,
    "timm/vitamin_small_224": 32,
    "timm/volo_d1_224": 32,
    "timm/ese_vovnet19b_slim_dw": 32,
    "timm/legacy_xception": 32,
    "timm/xception41p": 32,
    "timm/xcit_nano_12_p8_224": 32,
    "timm/vit_little_patch16_reg4_gap_256": 32,
    "torchvision/alexnet": 64,
    "torchvision/convnext_tiny": 32,
    "torchvision/densenet121": 32,
    "torchvision/efficientnet_b0": 32,
    "torchvision/efficientnet_v2_s": 32,
    "torchvision/googlenet": 32,
    "torchvision/inception_v3": 96,
    "torchvision/maxvit_t": 224,
    "torchvision/mnasnet0_5": 32,
    "torchvision/mobilenet_v2": 32,
    "torchvision/mobilenet_v3_small": 32,
    "torchvision/regnet_y_400mf": 32,
    "torchvision/resnet18": 32,
    "torchvision/shufflenet_v2_x0_5": 32,
    "torchvision/squeezenet1_1": 32,
    "torchvision/swin_t": 32,
    "torchvision/swin_v2_t": 32,
    "torchvision/vgg11": 32,
    "torchvision/vit_b_32": 32,
}

# What is refused, and a part of the message that says why.
REFUSED: dict[str, tuple[int, str]] = {
    "timm/efficientformer_l1": (64, "cannot take pictures of 64 pixels"),
    "timm/crossvit_tiny_240": (64, "cannot take pictures of 64 pixels"),
    "torchvision/inception_v3": (64, "cannot take pictures of 64 pixels"),
    "torchvision/maxvit_t": (64, "cannot take pictures of 64 pixels"),
}

# Without weights, running statistics of 0 and 1 do not keep activations small in every network.
BLEW_UP = "trained, and blew up from random weights"

# Not built but on the meta device, where their blocks are counted: millions of parameters.
TOO_LARGE: dict[str, int] = {"timm/deepseek_vit_412m": 412, "timm/gemma4_vit_167m": 167}


@dataclass(frozen=True)
class Tried:
    """A training of two updates.

    Attributes:
        trained: its result and network.
        seconds: it took, building included.
    """

    trained: Trained
    seconds: float


def try_family(backbone: str, image_size: int, **changes: Any) -> Tried:
    """Build a backbone with random parameters and train its last blocks and the head.

    Args:
        backbone: ``torchvision/<model>`` or ``timm/<model>``.
        image_size: side of the pictures in pixels.
        changes: of params.yaml, ``__`` for the dot.

    Raises:
        WeightsError: it is refused.
    """
    began = time.perf_counter()
    named: dict[str, Any] = {name.replace("__", "."): value for name, value in changes.items()}
    params = override(
        load_params(Path(__file__).parent.parent / "params.yaml"),
        {"model.backbone": backbone, "model.weights": "none", "train.batch_size": 2,
         "model.trainable_blocks": 4, "train.head.method": "descend", "train.head.epochs": 0,
         "train.epochs": 1, "train.range_test.enabled": False, **named},
        "families",
    )  # fmt: skip
    trained = train(
        noise(image_size), params.model, params.train, task=params.task,
        seed=0, device=set_up("cpu", 1), cache=FeatureCache(1 << 28), on_epoch=lambda record: None,
    )  # fmt: skip
    return Tried(trained, time.perf_counter() - began)


def noise(image_size: int) -> Store:
    """Four training and two validation pictures of noise, in two classes."""
    splits = ["train"] * 4 + ["val"] * 2
    images = np.random.default_rng(0).integers(0, 256, (6, image_size, image_size, 3), np.uint8)
    labels = np.arange(6) % 2
    samples = pd.DataFrame(
        {"row": range(6), "id": map(str, range(6)), "split": splits, "label": list("ababab"),
         "label_index": labels, "sha256": map(str, range(6)), "group": map(str, range(6))}
    )  # fmt: skip
    return Store(
        examples=images, targets=labels, samples=samples, names=["a", "b"],
        digest=f"noise {image_size}", splits=("train", "val"),
        facts={"background": [255, 255, 255]},
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="backbones; all if none")
    options = parser.parse_args()
    print("| backbone | side | blocks | entries | loss | seconds |\n|---|---|---|---|---|---|")
    counts = dict.fromkeys(("trained", BLEW_UP, "refused as expected", "failed"), 0)
    rows = [(name, size, "") for name, size in FAMILIES.items()]
    rows += [(name, size, expected) for name, (size, expected) in REFUSED.items()]
    for name, size, expected in rows:
        if options.names and name not in options.names:
            continue
        line, outcome = _row(name, size, expected)
        counts[outcome] += 1
        print(line, flush=True)
    for name, millions in () if options.names else TOO_LARGE.items():
        print(
            f"| {name} | | {count_blocks(name)} | | not trained: {millions} million parameters | |"
        )
    print(f"\n{counts}")


def count_blocks(backbone: str) -> int:
    """Blocks of a timm network that is not built."""
    import timm

    with torch.device("meta"):
        module = timm.create_model(backbone.partition("/")[2])
    return len(find_depth(module, split_segments(module)).names)


def _row(name: str, size: int, expected: str) -> tuple[str, str]:
    try:
        tried = try_family(name, size)
    except SFTError as error:
        outcome = "refused as expected" if expected and expected in str(error) else "failed"
        return f"| {name} | {size} | | | {outcome}: {error} | |", outcome
    except Exception as error:  # a benchmark goes on to the next family
        return f"| {name} | {size} | | | failed: {error!r} | |", "failed"
    network, result = tried.trained.start.network, tried.trained.result
    loss = result.history[-1].val_loss if result.history else math.nan
    count = len(network.blocks)
    entries = len({network.entry(first) for first in range(count)})
    outcome = "failed" if expected or result.diverged else "trained"
    outcome = outcome if math.isfinite(loss) else BLEW_UP
    return (
        f"| {name} | {size} | {count} | {entries} | {loss:.3f} {result.diverged} "
        f"| {tried.seconds:.1f} |"
    ), outcome


if __name__ == "__main__":
    main()
