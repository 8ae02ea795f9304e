import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from sftcore.foundations.errors import ParamsError
from sftcore.foundations.yaml_files import flatten
from sftcore.settings.moved import MOVED
from sftcore.settings.studies import load_with_study
from sftcore.settings.tree import Params, check_params, load_params, override
from sftcore.settings.writing import LEFT_OUT, params_text, rewrite_params

ROOT = Path(__file__).parent.parent


@cache
def shipped_tree() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(ROOT / "params.yaml")


@pytest.fixture
def tree() -> dict[str, Any]:
    return deepcopy(shipped_tree())


def definitions(model: type[BaseModel], prefix: str = "") -> list[tuple[str, FieldInfo]]:
    """Every setting below a class; those of a study's file have no defaults."""
    found = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += definitions(field.annotation, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "ablation.grid":
            found.append((prefix + name, field))
    return found


def put(tree: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        tree = tree[part]
    tree[last] = value


def test_shipped_parameters_are_valid() -> None:
    assert load_params(ROOT / "params.yaml").train.optimizer == "sgd"


def test_the_shipped_file_is_written_from_the_definitions() -> None:
    written = params_text(load_params(ROOT / "params.yaml"), LEFT_OUT)
    assert (ROOT / "params.yaml").read_text() == written, "write it: python -m sftcore params"


def test_params_yaml_is_written_anew_with_its_own_values(own: Path) -> None:
    file = own / "params.yaml"
    assert "is as" in rewrite_params(file)
    file.write_text("train:\n  epochs: 3   # mine\n  penalties: {l2: 1e-4}\n")
    before = load_params(file)
    assert rewrite_params(file).startswith("wrote")
    assert load_params(file) == before
    assert "    l2: 0.0001 " in file.read_text()
    file.write_text("train: {epochs: -1}")
    with pytest.raises(ParamsError):
        rewrite_params(file)
    assert file.read_text() == "train: {epochs: -1}"


def test_every_setting_is_defined_with_its_meaning() -> None:
    for name, info in definitions(Params):
        assert info.description, name
        assert not info.is_required(), f"{name} has no default"


def test_what_a_file_leaves_out_is_as_it_is_defined(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train: {epochs: 3}")
    assert load_params(tmp_path / "params.yaml") == override(Params(), {"train.epochs": 3}, "")


def test_old_names_are_sent_to_their_new_places_in_one_message(own: Path) -> None:
    old = "train: {head: solve, schedule: cosine, l2: 0.1, guard: none, epochs: 3}"
    (own / "params.yaml").write_text(old)
    with pytest.raises(ParamsError) as caught:
        load_params(own / "params.yaml")
    for name in ("head.method", "schedule.name", "penalties.l2", "guard.answers"):
        assert f"is train.{name} now" in str(caught.value)
    old = "data: {path: x, image_size: 64, background: [0, 0, 0], min_pictures_per_class: 5}"
    (own / "params.yaml").write_text(old)
    with pytest.raises(ParamsError) as caught:
        load_params(own / "params.yaml")
    assert str(caught.value).split("\n  ")[1:] == [
        "data.image_size is data.pictures.image_size now",
        "data.background is data.pictures.background now",
        "data.min_pictures_per_class is data.min_per_class now",
    ]
    with pytest.raises(ParamsError, match=r"train\.l1'.*it is train\.penalties\.l1 now"):
        override(Params(), {"train.l1": 0.1}, "row")


@pytest.mark.parametrize("new", MOVED.values())
def test_what_has_moved_is_there(new: str) -> None:
    assert " " in new or new in flatten(Params().model_dump())


@pytest.mark.parametrize("name", [name for name, _ in definitions(Params)])
def test_every_parameter_refuses_what_it_cannot_be(tree: dict[str, Any], name: str) -> None:
    put(tree, name, object())
    with pytest.raises(ParamsError, match=name.replace(".", r"\.")):
        check_params(tree, "params.yaml")


@pytest.mark.parametrize("text", ["1e-5", "1e-05", "0.00001", "1.0e-5"])
def test_scientific_notation_is_a_number(tmp_path: Path, text: str) -> None:
    shipped = (ROOT / "params.yaml").read_text()
    changed = shipped.replace("weight_decay: 0.0001 ", f"weight_decay: {text} ")
    assert changed != shipped
    (tmp_path / "params.yaml").write_text(changed)
    assert load_params(tmp_path / "params.yaml").train.weight_decay == 1e-5


def test_all_faults_come_in_one_message(tree: dict[str, Any]) -> None:
    put(tree, "train.learning_rate", -1.0)
    put(tree, "train.epochs", "ten")
    put(tree, "model.dropuot", 0.5)
    put(tree, "data.pictures.max_pixels", 0)
    with pytest.raises(ParamsError) as caught:
        check_params(tree, "params.yaml")
    message = str(caught.value)
    assert "4 faults" in message
    assert (
        "train.learning_rate: should be greater than 0, or should be 'auto'; given -1.0" in message
    )
    assert "train.epochs: should be a valid integer; given 'ten'" in message
    assert "model.dropuot: no such parameter; did you mean 'dropout'?" in message
    assert "data.pictures.max_pixels: should be greater than or equal to 1; given 0" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.learning_rate", float("nan")),
        ("train.learning_rate", True),
        ("train.epochs", 3.0),
        ("train.optimizer", "lbfgs"),
        ("train.momentum", 1.0),
        ("model.trainable_blocks", "some"),
        ("model.trainable_blocks", -1),
        ("data.source", "http://elsewhere"),
        ("data.pictures.background", [0, 0, 256]),
        ("runtime.device", "tpu"),
        ("data.targets.low", float("inf")),
        ("data.targets", {"low": 2.0, "high": 1.0}),
        ("ablation.study", "../elsewhere"),
        ("ablation.grid", {"screen": {"rows": {"l1": {"train.penalties.l1": 0.1}}}}),
    ],
)
def test_values_out_of_range_are_refused(tree: dict[str, Any], name: str, value: Any) -> None:
    put(tree, name, value)
    with pytest.raises(ParamsError, match=name.split(".")[1]):
        check_params(tree, "params.yaml")


def test_what_a_task_does_not_look_at_cannot_be_set(tree: dict[str, Any]) -> None:
    put(tree, "data.targets.columns", ["kind"])
    put(tree, "data.targets.low", 0.0)
    with pytest.raises(ParamsError) as caught:
        check_params(tree, "params.yaml")
    for name in ("columns", "low"):
        assert f"data.targets.{name} means nothing for classification" in str(caught.value)


def test_nothing_to_train_is_refused(tree: dict[str, Any]) -> None:
    put(tree, "train.epochs", 0)
    put(tree, "train.head.method", "descend")
    put(tree, "train.head.epochs", 0)
    with pytest.raises(ParamsError, match="nothing would train"):
        check_params(tree, "params.yaml")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with params.yaml and studies of its own."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    return tmp_path


def rewrite(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_faults_in_a_study_name_their_row(own: Path) -> None:
    study = own / "studies" / "quick.yaml"
    rewrite(
        study,
        ("{model.dropout: 0.5}", "{model.dropout: 1.5}"),
        ("{train.label_smoothing: 0.1}", "{train.smooth: 0.1}"),
    )
    with pytest.raises(ParamsError) as caught:
        load_with_study(own / "params.yaml")
    assert "studies/quick.yaml: screen.rows.dropout" in str(caught.value)
    assert "studies/quick.yaml: screen.rows.label_smoothing: 'train.smooth' is not a" in str(
        caught.value
    )
    rewrite(study, ("num_rows", "num_row"), ("fractions: [0.25", "fractions: [0.7"))
    with pytest.raises(ParamsError) as caught:
        load_with_study(own / "params.yaml")
    assert "quick.yaml has 3 faults" in str(caught.value)
    assert "confirm.num_row: no such parameter; did you mean 'num_rows'?" in str(caught.value)
    assert "data_size.fractions must rise" in str(caught.value)
    assert load_params(own / "params.yaml").ablation.grid is None  # who needs no study is not hurt


def test_a_study_is_a_file_that_one_parameter_names(own: Path) -> None:
    assert load_with_study(own / "params.yaml").ablation.chosen.confirm.num_rows == 2
    mine = (own / "studies" / "quick.yaml").read_text().replace("num_rows: 2", "num_rows: 1")
    (own / "studies" / "mine.yaml").write_text(mine)
    rewrite(own / "params.yaml", ("study: quick ", "study: mine "))
    assert load_with_study(own / "params.yaml").ablation.chosen.confirm.num_rows == 1
    rewrite(own / "params.yaml", ("study: mine ", "study: none "))
    assert load_with_study(own / "params.yaml").ablation.grid is None
    rewrite(own / "params.yaml", ("study: none ", "study: nome "))
    with pytest.raises(ParamsError, match=r"no .*nome\.yaml; there are full, mine, none, quick"):
        load_with_study(own / "params.yaml")


@pytest.mark.parametrize("name", ["grid", "quick", "full"])
def test_an_older_grid_in_params_yaml_is_sent_to_its_new_place(own: Path, name: str) -> None:
    rewrite(own / "params.yaml", ("  study: quick", f"  {name}: {{}}\n  study: quick"))
    with pytest.raises(ParamsError, match=rf"ablation\.{name}: a study has a file of its own"):
        load_params(own / "params.yaml")


def test_override_changes_a_copy() -> None:
    params = load_params(ROOT / "params.yaml")
    changed = override(params, {"train.penalties.l1": 0.5, "model.trainable_blocks": "all"}, "row")
    assert (changed.train.penalties.l1, changed.model.trainable_blocks) == (0.5, "all")
    assert params.train.penalties.l1 == 0.0
    with pytest.raises(
        ParamsError, match="not a parameter of model or train, which a row can change"
    ):
        override(params, {"data.path": "x"}, "row")


def test_a_file_that_is_no_yaml_or_is_missing(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(tmp_path / "p.yaml")
    with pytest.raises(ParamsError, match=r"run from the folder that holds dvc\.yaml"):
        load_params(tmp_path / "none.yaml")


def test_flatten_names_leaves_by_dots() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
