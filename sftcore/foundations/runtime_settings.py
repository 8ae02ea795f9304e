"""Where the numbers are computed; read before NumPy and torch are, so it imports neither."""

from typing import Annotated, Literal

from pydantic import Field

from sftcore.foundations.settings import Settings, setting


class RuntimeSettings(Settings):
    """Where the numbers are computed."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")] = setting(
        "auto", "auto | cpu | cuda | cuda:<index>"
    )
    mode: Literal["portable", "native"] = setting(
        "portable", "same bytes on every x86-64 CPU with AVX2, or speed"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16", "auto"] = setting(
        "fp32", "of the updates; auto measures"
    )
    num_threads: Annotated[int, Field(ge=1, le=1024)] = setting(
        2, "of one CPU operation; another count gives other last digits"
    )
    num_workers: Annotated[int, Field(ge=1, le=1024)] = setting(
        2, "ablation cells side by side; changes no number"
    )
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        60.0, "between checkpoints; 0 is after every update; changes no number"
    )
