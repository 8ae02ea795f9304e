import pytest
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from sftcore.models.backbones import build_backbone
from sftcore.models.pooling import AverageWindows, average_windows


@pytest.mark.parametrize("size", [(7, 7), (14, 21), (1, 1), (4, 2), (9, 13), (2, 30)])
def test_windows_are_those_of_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, requires_grad=True)
    ours, theirs = average_windows(x, (7, 7)), adaptive_avg_pool2d(x, (7, 7))
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn(2, 3, 7, 7)
    torch.testing.assert_close(
        torch.autograd.grad(ours, x, gradient)[0], torch.autograd.grad(theirs, x, gradient)[0]
    )
    assert (average_windows(x, (7, 7)) is x) == (size == (7, 7))


def test_none_leaves_a_side_as_it_is() -> None:
    assert AverageWindows((None, 3))(torch.rand(1, 1, 5, 9)).shape == (1, 1, 5, 3)
    assert AverageWindows(2)(torch.rand(1, 1, 5, 9)).shape == (1, 1, 2, 2)


@pytest.mark.parametrize(
    "name", ["torchvision/alexnet", "torchvision/vgg11", "timm/vgg11", "timm/pvt_v2_b2_li"]
)
def test_no_gradient_passes_through_adaptive_pooling(name: str) -> None:
    """CUDA refuses that where determinism is asked for, but for one number per channel."""
    module = build_backbone(name, 64).module
    seen: list[str] = []
    output = module(torch.rand(2, 3, 64, 64)).sum()
    todo, known = [output.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in known:
            continue
        known.add(node)
        seen.append(node.name())
        todo += [following for following, _ in node.next_functions]
    assert not any("AdaptiveAvgPool" in name for name in seen)
    assert "ConvolutionBackward0" in seen
    assert not any(
        isinstance(m, nn.AdaptiveAvgPool2d) and m.output_size not in (1, (1, 1))
        for m in module.modules()
    )
