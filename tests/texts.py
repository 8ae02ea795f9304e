"""Short texts and folders of them, made on the spot."""

from pathlib import Path

import numpy as np

TEXT_CLASSES = ("harbour", "kitchen", "orchard")
_SYLLABLES = ("ba", "den", "fi", "gor", "hul", "jem", "kat", "lo", "mir", "nes", "po", "ruk", "sal",
              "tev", "wim", "zan")  # fmt: skip


def compose(kind: str, seed: int, num_words: int = 9) -> str:
    """A sentence of made-up words; no two seeds are alike."""
    number = TEXT_CLASSES.index(kind) if kind in TEXT_CLASSES else 99
    stream = np.random.default_rng([seed, number])
    words = ["".join(stream.choice(_SYLLABLES, stream.integers(2, 4))) for _ in range(num_words)]
    return f"The {kind} {' '.join(words)}."


def write_text_folders(root: Path, per_class: int = 12) -> Path:
    """Class folders of distinct texts."""
    for kind in TEXT_CLASSES:
        (root / kind).mkdir(parents=True)
        for seed in range(per_class):
            (root / kind / f"{seed:03d}.txt").write_text(compose(kind, seed))
    return root
