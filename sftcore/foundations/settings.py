"""Settings: what a person may choose, each defined once beside the code that obeys it.

A definition holds name, type, range, default, unit and meaning. params.yaml is made of the very
classes that the engine takes, and its comments are written from them
(:mod:`sftcore.settings.writing`).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Dial = Annotated[float, Field(ge=0, le=1)]
Coefficient = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)]
Auto = Literal["auto"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Scalar = bool | int | float | str | None
_LENGTH_TEXT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})? (steps?|epochs?)")


class Settings(BaseModel):
    """A group of settings that refuses unknown keys and silent conversions; never changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def setting(default: Any, meaning: str, **limits: Any) -> Any:
    """A field of :class:`Settings`.

    Args:
        default: where a file leaves it out.
        meaning: what it does, in half a line, with its unit; a name in it that starts with a dot is
            one of the same file's.
        limits: of its range, as pydantic's ``Field`` takes them.
    """
    return Field(default, description=meaning, **limits)


@dataclass(frozen=True)
class Known:
    """Refuses what is not in a registry.

    Attributes:
        names: gives those that are known, when a value is checked.
    """

    names: Callable[[], Iterable[str]]

    def __call__(self, value: str) -> str:
        """The same value.

        Raises:
            ValueError: it is not known.
        """
        known = list(self.names())
        if value not in known:
            *others, last = map(repr, known)
            before = f"{', '.join(others)} or " if others else ""
            raise ValueError(f"should be {before}{last}")
        return value


def one_of(names: Callable[[], Iterable[str]]) -> Any:
    """For the type of a name that must be in a registry; see :class:`Known`."""
    return AfterValidator(Known(names))


def _is_length(value: float | str) -> float | str:
    if not (_LENGTH_TEXT.fullmatch(value) if isinstance(value, str) else 0 <= value <= 1):
        raise ValueError('should be a part from 0 to 1, or text such as "50 steps" or "2 epochs"')
    return value


Length = Annotated[float | str, AfterValidator(_is_length)]
