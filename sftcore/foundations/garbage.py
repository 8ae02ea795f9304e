"""How often Python looks for objects that nothing can reach any more."""

import gc

_THRESHOLDS = 100_000, 50, 100  # new objects, and rounds, until a generation is looked through


def collect_seldom() -> None:
    """Look for unreachable objects a hundred times less often than Python does by itself.

    Importing torch, timm and MLflow makes a million objects that stay; to look through them again
    and again takes 1.1 of 7.4 seconds (two runs each). Arrays and tensors are freed with their last
    name, whatever this says.
    """
    gc.set_threshold(*_THRESHOLDS)
