"""How likely planted codes are to a model: what of a training can be drawn out of it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sftcore.data.dialogues.canaries import NUM_CODES, Canary
from sftcore.tasks.finished import Speaker


def exposure(planted: Sequence[Canary], speaker: Speaker) -> Mapping[str, float]:
    """How likely the planted codes are to a model, among others of their kind.

    Args:
        planted: at least one.
        speaker: that was trained with them, or not.

    Returns:
        ``num_canaries``; ``exposure``, the mean of all in bits; ``most``, what it can be;
        ``by_chance``, what it is on average of a model that never saw them; ``num_first``, planted
        codes that are the likeliest of all.
    """
    ranks = []
    for canary in planted:
        dialogues = [canary.dialogue, *map(canary.with_code, canary.others)]
        losses = speaker.sums(dialogues)[:, 0]
        ranks.append(1 + int((losses[1:] < losses[0]).sum()))
    bits = np.log2(NUM_CODES) - np.log2(ranks)
    chance = math.log2(NUM_CODES) - float(np.log2(np.arange(1, NUM_CODES + 1)).mean())
    return {
        "num_canaries": len(ranks),
        "exposure": round(float(bits.mean()), 6),
        "most": math.log2(NUM_CODES),
        "by_chance": round(chance, 6),
        "num_first": ranks.count(1),
    }
