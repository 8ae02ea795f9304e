"""Types that parameters have, with their ranges, and the section that holds them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Dial = Annotated[float, Field(ge=0, le=1)]
Coefficient = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)]
_LENGTH_TEXT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})? (steps?|epochs?)")
_ANSWERS = ("skip", "clip", "rollback")


def _is_length(value: float | str) -> float | str:
    if not (_LENGTH_TEXT.fullmatch(value) if isinstance(value, str) else 0 <= value <= 1):
        raise ValueError('should be a part from 0 to 1, or text such as "50 steps" or "2 epochs"')
    return value


def _is_guard(value: str) -> str:
    if value != "none" and not set(value.split("+")) <= set(_ANSWERS):
        allowed = ", ".join(_ANSWERS)
        raise ValueError(f"should be none, or answers joined by +, as skip+rollback; of {allowed}")
    return value


Length = Annotated[float | str, AfterValidator(_is_length)]
Guard = Annotated[str, AfterValidator(_is_guard)]
Auto = Literal["auto"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Optimizer = Literal["sgd", "nesterov", "rmsprop", "adam", "adamw", "nadam", "radam", "lamb", "lars",
                    "lion", "adabelief"]  # fmt: skip
Schedule = Literal["constant", "linear", "cosine", "polynomial", "exponential", "step",
                   "multi_step", "one_cycle", "warmup_stable_decay", "plateau"]  # fmt: skip
Scalar = bool | int | float | str | None


class Section(BaseModel):
    """A group of parameters that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
