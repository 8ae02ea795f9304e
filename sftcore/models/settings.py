"""The pretrained network and what of it is trained."""

from typing import Annotated, Literal

from pydantic import Field

from sftcore.foundations.settings import Count, Fraction, Settings, setting
from sftcore.models.dense.settings import DetectionHeadSettings, SegmentationHeadSettings
from sftcore.models.lora import LoraSettings
from sftcore.models.text.settings import TextOptions

_NAMES = r"^((torchvision|timm)/[A-Za-z0-9_.\-]+|transformers/[^\x00]+)$"


class ModelSettings(Settings):
    """The pretrained network and what of it is trained."""

    backbone: Annotated[str, Field(pattern=_NAMES)] = setting(
        "timm/tf_efficientnet_lite0",
        "torchvision/<model>, timm/<model>, or transformers/<name|folder>",
    )
    weights: Annotated[str, Field(min_length=1)] = setting(
        "package", "package | pretrained[:<tag>] (download) | <file|folder> | none"
    )
    trainable_blocks: Literal["all"] | Count = setting(
        2, "all, or how many of the last blocks; 0 is a linear probe"
    )
    dropout: Fraction = setting(0.0, "probability of zeroing a feature before the head")
    stochastic_depth: Fraction = setting(
        0.0, "probability of dropping the last residual branch; fewer before it"
    )
    lora: LoraSettings = LoraSettings()
    segmentation: SegmentationHeadSettings = SegmentationHeadSettings()
    detection: DetectionHeadSettings = DetectionHeadSettings()
    text: TextOptions = TextOptions()

    def dense_head(self, target: str) -> SegmentationHeadSettings | DetectionHeadSettings | None:
        """Of the head on maps that a kind of target needs; None where it takes features.

        Args:
            target: of the store: ``masks``, ``boxes`` or another.
        """
        if target == "masks":
            return self.segmentation
        return self.detection if target == "boxes" else None
