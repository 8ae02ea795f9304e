"""Where labels and numbers stand, which numbers are taken, how masks and boxes are read."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sftcore.foundations.settings import Dial, Settings, setting

Number = Annotated[float, Field(allow_inf_nan=False)]


class TargetSettings(Settings):
    """Where labels and numbers stand, and which numbers are taken."""

    columns: list[Annotated[str, Field(min_length=1)]] = setting(
        [], "of the table: one that lists labels, one for each label, or numbers; [] finds them"
    )
    low: Number | None = setting(None, "least number; null is no limit")
    high: Number | None = setting(None, "largest number; null is no limit")

    @model_validator(mode="after")
    def _is_a_range(self) -> "TargetSettings":
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low should be less than high; given {self.low:g} and {self.high:g}")
        return self


class AnnotationSettings(Settings):
    """How annotations of masks and boxes are read."""

    format: Literal["auto", "coco", "voc", "yolo", "masks"] = setting(
        "auto", "auto looks and says what it sees; or coco | voc | yolo | masks"
    )
    voc_pixels: Literal["from 1", "edges"] = setting(
        "from 1", "Pascal VOC: pixels counted from 1, or edges as CVAT writes them"
    )
    min_inside_fraction: Dial = setting(
        0.5, "of a box's area; with less of it inside the picture it is refused, else clipped"
    )
