"""The shipped dialogues (term in, definition out), for benchmarks on answers."""

from contextlib import AbstractContextManager

from benchmarks.shipped import DATA, shipped
from sftcore.data.settings import DataSettings
from sftcore.data.store import Store

TASK = "causal_lm"
SMALL = f"transformers/{DATA / 'decoder'}"
SMOLLM2 = "transformers/HuggingFaceTB/SmolLM2-135M-Instruct"
MAX_TOKENS = 192


def definitions(split_seed: int = 0) -> AbstractContextManager[Store]:
    """The store of train and validation dialogues."""
    return shipped(TASK, DataSettings(path=str(DATA / "definitions")), split_seed)
