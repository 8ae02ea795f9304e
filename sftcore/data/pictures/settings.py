"""How pictures become squares."""

from typing import Annotated

from pydantic import Field

from sftcore.foundations.settings import Channel, PositiveCount, Settings, setting


class PictureSettings(Settings):
    """How pictures become squares, for a task of pictures."""

    image_size: Annotated[int, Field(ge=16, le=1024)] = setting(
        128, "side in pixels; time grows with its square"
    )
    background: Annotated[list[Channel], Field(min_length=3, max_length=3)] = setting(
        [255, 255, 255], "red, green, blue behind transparent and around oblong pictures"
    )
    max_pixels: PositiveCount = setting(50_000_000, "pixels; larger pictures are refused undecoded")
