"""The feature pyramid network, and what heads on maps are made of."""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

from torch import nn

from sftcore.models.dense.maps import Maps
from sftcore.models.dense.settings import GROUP
from sftcore.models.dense.taps import STRIDES

_BEYOND = (64, 128)  # strides that no backbone has


def group_norm(num_channels: int) -> nn.GroupNorm:
    """Group normalisation in groups of 8 channels (Wu and He, 2018, Group normalization).

    Batch statistics shared by the levels of a pyramid would be a mixture that no level has (Wu and
    Johnson, 2021, Rethinking "batch" in BatchNorm, table 5).
    """
    return nn.GroupNorm(num_channels // GROUP, num_channels)


def conv_norm_relu(in_channels: int, width: int) -> nn.Module:
    """A 3×3 convolution of stride 1, group normalisation and ReLU."""
    from torchvision.ops import Conv2dNormActivation

    return Conv2dNormActivation(in_channels, width, norm_layer=group_norm)


def pyramid_strides(finest: int, coarsest: int = STRIDES[-1]) -> tuple[int, ...]:
    """Strides of a pyramid's levels, ascending."""
    return tuple(stride for stride in (*STRIDES, *_BEYOND) if finest <= stride <= coarsest)


class Pyramid(nn.Module):
    """Maps of all levels with equal width (Lin et al., 2017, Feature pyramid networks, section 3).

    The top-down way is upsampled by nearest neighbours, as there; group normalisation comes after
    each convolution. Strides 64 and 128 are strided convolutions on the level of stride 32 (Tian et
    al., 2019, FCOS, section 3.2).

    Args:
        channels: of the backbone's maps, by stride.
        width: channels of every level.
        strides: of the levels; those above 32 both or none.
    """

    def __init__(self, channels: Mapping[int, int], width: int, strides: tuple[int, ...]) -> None:
        from torchvision.ops import FeaturePyramidNetwork
        from torchvision.ops.feature_pyramid_network import LastLevelP6P7

        super().__init__()
        self.strides = strides
        self.own_strides = tuple(stride for stride in strides if stride <= STRIDES[-1])
        extra = LastLevelP6P7(width, width) if len(strides) > len(self.own_strides) else None
        self.levels = FeaturePyramidNetwork(
            [channels[stride] for stride in self.own_strides], width, extra, partial(group_norm)
        )

    def forward(self, maps: Maps) -> Maps:
        """Levels [B, width, H, W] of a backbone's maps."""
        own = OrderedDict((str(stride), maps[stride]) for stride in self.own_strides)
        return Maps(self.strides, tuple(self.levels(own).values()))

    def sizes(self, maps: Maps) -> dict[int, tuple[int, int]]:
        """Height and width of each level for a backbone's maps, by stride."""
        sizes = {stride: maps.sizes[stride] for stride in self.own_strides}
        for stride in self.strides[len(self.own_strides) :]:
            height, width = sizes[stride // 2]
            sizes[stride] = (-(-height // 2), -(-width // 2))
        return sizes
