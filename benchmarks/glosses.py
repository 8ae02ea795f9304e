"""The shipped definitions of classes of nouns, for benchmarks on texts."""

from contextlib import AbstractContextManager

from benchmarks.shipped import DATA, shipped
from sftcore.data.settings import DataSettings
from sftcore.data.store import Store

TASK = "text_classification"
MINILM = "transformers/sentence-transformers/all-MiniLM-L6-v2"


def glosses(split_seed: int = 0) -> AbstractContextManager[Store]:
    """The store of train and validation texts."""
    data = DataSettings(source="table", path=str(DATA / "glosses"), table="glosses.csv")
    return shipped(TASK, data, split_seed)
