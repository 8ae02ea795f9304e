"""The prepare stage for classes of texts, in every layout that texts come in."""

from pathlib import Path

import pandas as pd
import pytest

from sftcore.data.settings import DataSettings
from sftcore.data.store import open_store
from sftcore.pipeline.prepare import PrepareParams, prepare_and_show
from sftcore.reporting.parts import read_parts
from tests.data.test_text_sources import LAYOUTS, rows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_prepared_and_shown(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = LAYOUTS[layout](tmp_path / "set", rows())
    data = DataSettings(path=path.relative_to(tmp_path).as_posix(), min_per_class=3)
    lines = prepare_and_show(PrepareParams(task="text_classification", data=data))
    store = open_store(Path("data/prepared"), ("train", "val", "test"))
    samples = store.samples
    found = zip(samples["split"], samples["label"], store.texts.read(samples["row"]), strict=True)
    assert set(found) == set(rows())
    assert lines[4].split() == ["all", "3", "classes", "12", "12", "12", "36"]
    shown = pd.read_csv("reports/prepare/texts.csv")
    assert set(shown["text"]) <= {text for split, _, text in rows() if split != "test"}
    said = " ".join(lines) + " ".join(line for part in read_parts(Path("reports/prepare"))
                                      for line in part.text)  # fmt: skip
    assert "picture" not in said
