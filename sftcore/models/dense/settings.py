"""Heads and losses of masks and boxes as settings; none of them imports torch."""

from typing import Annotated, Literal

from pydantic import Field

from sftcore.foundations.settings import (
    Coefficient,
    Dial,
    PositiveCount,
    Settings,
    setting,
)

FPN, UNET, LINEAR = "fpn", "unet", "linear"
GROUP = 8  # channels of a group: 32 groups of 256 channels, as Wu and He have them
Width = Annotated[int, Field(ge=GROUP, le=4096, multiple_of=GROUP)]


class SegmentationHeadSettings(Settings):
    """The head that gives each pixel its logits."""

    kind: Literal["fpn", "unet", "linear"] = setting(
        FPN, "fpn (semantic FPN) | unet | linear (one 1x1 convolution on all maps)"
    )
    width: Width = setting(64, "channels of its maps, a multiple of 8; not of linear")
    finest_stride: Literal[4, 8, 16, 32] = setting(
        8, "pixels from one logit to the next; maps from this stride to 32 are taken"
    )


class DecodingSettings(Settings):
    """Which boxes are given."""

    score_threshold: Dial = setting(0.05, "probability of a class above which a point gives a box")
    num_candidates: PositiveCount = setting(1000, "boxes of each level that are looked at")
    nms_iou: Dial = setting(0.6, "overlap (IoU) with a better box of its class that ends a box")
    max_detections: PositiveCount = setting(100, "boxes of a picture")


class DetectionHeadSettings(Settings):
    """The head that gives boxes."""

    width: Width = setting(64, "channels of the pyramid and the towers, a multiple of 8")
    num_convs: Annotated[int, Field(ge=0, le=16)] = setting(2, "convolutions of each tower")
    finest_stride: Literal[4, 8] = setting(8, "pixels from point to point on the finest level")
    coarsest_stride: Literal[32, 128] = setting(32, "of the coarsest level; 128 is for large boxes")
    prior: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.01, "probability of a class at each point before training; 0.5 is none"
    )
    decoding: DecodingSettings = DecodingSettings()


class PixelLossSettings(Settings):
    """What a picture's pixels cost, besides their cross-entropy."""

    dice: Coefficient = setting(0.0, "factor on 1 - Dice of each picture, beside cross-entropy")


class BoxLossSettings(Settings):
    """What classes and boxes at the points of a pyramid cost."""

    focal_alpha: Dial = setting(
        0.25, "focal loss: weight of a class that is there, 1 - it of others"
    )
    focal_gamma: Coefficient = setting(2.0, "focal loss: power of 1 - p; 0 is cross-entropy")
    center_radius: Coefficient = setting(
        1.5, "strides from a box's centre within which points learn it; 0 is all of the box"
    )
