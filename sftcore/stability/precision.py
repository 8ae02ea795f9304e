"""The precision in which updates are computed. Everything that is measured is measured in fp32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

FULL, TENSOR_FLOAT, BRAIN, HALF = "fp32", "tf32", "bf16", "fp16"
_TYPES = {BRAIN: torch.bfloat16, HALF: torch.float16}
_GROWTH_UPDATES = 2000  # good updates until the scale doubles
_MOST = 2.0**24


def changes_numbers(precision: str, device: torch.device) -> str:
    """The precision as far as it matters: on a CPU ``tf32`` is ``fp32``."""
    return FULL if precision == TENSOR_FLOAT and device.type != "cuda" else precision


@contextmanager
def computed_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute the forward pass in this precision.

    ``bf16`` and ``fp16`` are torch's autocast: products in the short type, parameters and sums in
    fp32; the backward pass, which is to be left outside, follows it. ``tf32`` is nothing here: see
    :func:`products_rounded`.

    Args:
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        device: of the network.
    """
    if precision in _TYPES:
        with torch.autocast(device.type, _TYPES[precision]):
            yield
    else:
        yield


@contextmanager
def products_rounded(precision: str, device: torch.device) -> Iterator[None]:
    """Let ``tf32`` round the factors of products to 10 bits, in both passes; CUDA alone can do it.

    Args:
        precision: ``fp32``, ``tf32``, ``bf16`` or ``fp16``; all but ``tf32`` are nothing here.
        device: of the network.
    """
    if changes_numbers(precision, device) == TENSOR_FLOAT:
        backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
        before = [backend.allow_tf32 for backend in backends]
        try:
            for backend in backends:
                backend.allow_tf32 = True
            yield
        finally:
            for backend, allowed in zip(backends, before, strict=True):
                backend.allow_tf32 = allowed
    else:
        yield


@dataclass
class LossScale:
    """Dynamic loss scaling for fp16, whose gradients would vanish below 6e-8 otherwise.

    (Micikevicius et al., 2018, Mixed precision training, section 3.2.) It doubles after 2000 good
    updates and halves when a gradient overflows, as torch's ``GradScaler`` does; that class cannot
    be used, since it refuses a second gradient within one update, which SAM takes.

    Attributes:
        value: factor on the loss; a power of two, so that scaling changes no digit.
        num_good: updates since the last change.
    """

    value: float = 2.0**16
    num_good: int = 0

    def overflow(self) -> bool:
        """A gradient was not finite: halve the scale. False if it cannot be lower."""
        if self.value <= 1:
            return False
        self.value, self.num_good = self.value / 2, 0
        return True

    def succeed(self) -> None:
        """An update was made."""
        self.num_good += 1
        if self.num_good >= _GROWTH_UPDATES and self.value < _MOST:
            self.value, self.num_good = self.value * 2, 0
