import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from sftcore.foundations.errors import ParamsError
from sftcore.settings.params import check_params, flatten, load_params, override
from sftcore.settings.sections import Params
from sftcore.settings.studies import load_with_study

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tree() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(ROOT / "params.yaml")


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += leaves(field.annotation, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "ablation.grid":  # it has a file of its own
            names.append(prefix + name)
    return names


def put(tree: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        tree = tree[part]
    tree[last] = value


def test_shipped_parameters_are_valid() -> None:
    assert load_params(ROOT / "params.yaml").train.optimizer == "sgd"


def test_every_shipped_parameter_has_a_comment() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for name in leaves(Params):
        leaf = name.rpartition(".")[2]
        stated = [line for line in lines if line.strip().startswith(f"{leaf}:")]
        assert stated, f"{name} is not in params.yaml"
        assert any("#" in line for line in stated), f"{name} has no comment"


@pytest.mark.parametrize("name", leaves(Params))
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
    del tree["data"]["source"]
    with pytest.raises(ParamsError) as caught:
        check_params(tree, "params.yaml")
    message = str(caught.value)
    assert "4 faults" in message
    assert (
        "train.learning_rate: should be greater than 0, or should be 'auto'; given -1.0" in message
    )
    assert "train.epochs: should be a valid integer; given 'ten'" in message
    assert "model.dropuot: no such parameter; did you mean 'dropout'?" in message
    assert "data.source: missing" in message


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
        ("data.background", [0, 0, 256]),
        ("runtime.device", "tpu"),
        ("ablation.study", "../elsewhere"),
        ("ablation.grid", {"screen": {"rows": {"l1": {"train.l1": 0.1}}}}),
    ],
)
def test_values_out_of_range_are_refused(tree: dict[str, Any], name: str, value: Any) -> None:
    put(tree, name, value)
    with pytest.raises(ParamsError, match=name.split(".")[1]):
        check_params(tree, "params.yaml")


def test_nothing_to_train_is_refused(tree: dict[str, Any]) -> None:
    put(tree, "train.epochs", 0)
    put(tree, "train.head", "descend")
    put(tree, "train.head_epochs", 0)
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
    rewrite(own / "params.yaml", ("ablation:\n", f"ablation:\n  {name}: {{}}\n"))
    with pytest.raises(ParamsError, match=rf"ablation\.{name}: a study has a file of its own"):
        load_params(own / "params.yaml")


def test_override_changes_a_copy() -> None:
    params = load_params(ROOT / "params.yaml")
    changed = override(params, {"train.l1": 0.5, "model.trainable_blocks": "all"}, "row")
    assert (changed.train.l1, changed.model.trainable_blocks) == (0.5, "all")
    assert params.train.l1 == 0.0
    with pytest.raises(ParamsError, match="not a parameter that a row can change"):
        override(params, {"data.path": "x"}, "row")


def test_a_file_that_is_no_yaml_or_is_missing(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(tmp_path / "p.yaml")
    with pytest.raises(ParamsError, match=r"run from the folder that holds dvc\.yaml"):
        load_params(tmp_path / "none.yaml")


def test_flatten_names_leaves_by_dots() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
