"""The check stage: data of another kind than the task's, and encoders that cannot be used."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sftcore.foundations.errors import DataError, WeightsError
from sftcore.pipeline.check import check
from sftcore.settings.tree import Params
from tests.models.text.tiny import CONFIGS, write_config, write_encoder, write_tokenizer
from tests.pictures import write_folders
from tests.texts import write_text_folders


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_text_folders(tmp_path / "texts", per_class=2)
    write_folders(tmp_path / "pictures", per_class=2)
    write_encoder(tmp_path / "encoder")
    return tmp_path


def params(task: str = "text_classification", path: str = "texts", **model: Any) -> Params:
    of_texts = {"backbone": "transformers/encoder", "weights": "pretrained",
                "text": {"max_tokens": 40}}  # fmt: skip
    chosen = {**of_texts, **model} if task == "text_classification" else {}
    return Params.model_validate({"task": task, "data": {"path": path}, "model": chosen})


def test_what_fits_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(params())
    assert "texts: class folders (3 classes, 6 texts)" in capsys.readouterr().out
    check(params(weights="none"))
    assert (here / "reports/check.json").exists()


def test_data_of_another_kind_are_named(here: Path) -> None:
    with pytest.raises(DataError) as caught:
        check(params(path="pictures"))
    assert str(caught.value).startswith("pictures holds no class with a text.")
    assert "\nAs pictures they can be read: pictures: class folders (3 classes" in str(caught.value)
    advice = (
        "task text_classification learns from texts: set data.path to where these are, or task "
        "to classification"
    )
    assert str(caught.value).endswith(advice)
    with pytest.raises(DataError, match=r"As texts they can be read: .* to text_classification$"):
        check(params("classification", "texts"))
    (here / "set").mkdir()
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["a", "b"]})
    table.to_csv("set/labels.csv", index=False)
    with pytest.raises(DataError, match=r"by their names all files are pictures\. task text_class"):
        check(params(path="set"))
    assert not (here / "reports").exists()


@pytest.mark.parametrize(
    ("prepare", "model", "message"),
    [
        ("tokenizer.json", {}, "has no tokenizer.json"),
        ("model.safetensors", {}, "holds no model.safetensors"),
        ("config.json", {}, "has no config.json"),
        ("", {"text": {"max_tokens": 41}}, "takes at most 40 tokens, and 41 are asked for"),
        ("", {"backbone": "transformers/nobody/nothing", "weights": "package"}, "no pip package"),
        ("", {"weights": "nowhere"}, "model.weights is 'nowhere'"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_found_early(
    prepare: str, model: dict[str, Any], message: str, here: Path
) -> None:
    if prepare:
        (here / "encoder" / prepare).unlink()
    with pytest.raises(WeightsError, match=message):
        check(params(**model))
    assert not (here / "reports").exists()


def test_a_family_that_is_no_encoder_is_found_early(here: Path) -> None:
    write_tokenizer(write_config(here / "odd", "bert", model_type="bertt"))
    with pytest.raises(WeightsError, match=r"no model_type 'bertt'; did you mean bert"):
        check(params(backbone="transformers/odd", weights="none"))


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_passes(family: str, here: Path) -> None:
    write_tokenizer(write_config(here / "odd", family))
    check(params(backbone="transformers/odd", weights="none", text={"max_tokens": 38}))


def test_what_the_hub_has_is_not_asked_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    def snapshot(name: str, *, local_files_only: bool, **_: Any) -> str:
        asked.append(local_files_only)
        raise OSError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    check(params(backbone="transformers/nobody/nothing", weights="pretrained"))
    assert asked == [True]
