"""The logged model of texts: in a process without the repository, and behind MLflow's server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model

from sftcore.evaluation.predict import load_model, look_at
from sftcore.pyfunc_model import save_model
from tests.import_closure import ROOT
from tests.models.text.finished import NAMES, sentence, write_text_model
from tests.tracking.test_serving import Served, serve

TEXTS = [sentence(row) for row in (1, 2, 17)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    save_model(root / "logged", write_text_model(root), Model())
    # Looked at before anyone loads it, which leaves bytecode beside the code.
    suffixes = {path.suffix for path in (root / "logged").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pth", ".pyc", ".bin"}
    return root


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    yield from serve(model)


def expected(folder: Path) -> np.ndarray:
    loaded = load_model(folder / "models" / "finetuned")
    return look_at(loaded.network, TEXTS, loaded.sight).answers


def probabilities(table: pd.DataFrame) -> np.ndarray:
    assert list(table.columns) == ["label", *(f"p_{name}" for name in NAMES)]
    found = table.filter(like="p_").to_numpy(dtype=np.float32)
    assert table["label"].tolist() == [NAMES[k] for k in found.argmax(axis=1)]
    return found


def test_texts_over_http_get_the_same_bits(served: Served) -> None:
    for body in ({"inputs": TEXTS}, {"inputs": {"text": TEXTS}}):
        status, answer = served.ask(json.dumps(body).encode())
        assert status == 200, answer
        found = probabilities(pd.DataFrame(answer["predictions"]))
        np.testing.assert_array_equal(found, expected(served.folder))
    table = pd.DataFrame({"id": range(3), "text": TEXTS}).to_csv(index=False)
    status, answer = served.ask(table.encode(), "text/csv")
    assert status == 200, answer
    found = probabilities(pd.DataFrame(answer["predictions"]))
    np.testing.assert_array_equal(found, expected(served.folder))
    for value, reason in ((["a", None], "text 1: empty"), ([7], "text 0: not a text"),
                          ([], "no text was given"), (["a\0"], "text 0: control characters"),
                          (["a" * 1_000_001], "text 0: over the character limit")):  # fmt: skip
        status, answer = served.ask(json.dumps({"inputs": value}).encode())
        assert status == 400
        assert json.loads(answer)["message"].startswith(reason)
    assert str(ROOT) not in (served.folder / "log").read_text()


def test_it_loads_elsewhere_without_pickle(model: Path, tmp_path: Path) -> None:
    required = (model / "logged" / "requirements.txt").read_text()
    names = {line.partition("==")[0] for line in required.split()}
    assert {"torch", "transformers", "tokenizers", "safetensors"} <= names
    assert not {"pillow", "torchvision"} & names
    code = (
        "import mlflow, numpy as np\n"
        "import pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({str(model / 'logged')!r})\n"
        f"answer = model.predict(pd.DataFrame({{'text': {TEXTS!r}}}))\n"
        "np.save('answer.npy', answer.filter(like='p_').to_numpy())\n"
        "import sftcore; print(sftcore.__file__)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip().splitlines()[-1].startswith(str(ROOT))
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), expected(model))


def test_every_form_of_input_in_a_notebook(model: Path) -> None:
    description = Model.load(str(model / "logged"))
    assert description.signature is not None
    (column,) = description.signature.inputs.to_dict()
    assert (column["name"], column["type"]) == ("text", "string")
    loaded: Any = mlflow.pyfunc.load_model(str(model / "logged"))
    frame = pd.DataFrame({"id": range(3), "text": TEXTS})
    for given in (TEXTS, pd.Series(TEXTS), frame, frame[["text"]], np.array(TEXTS, dtype=object)):
        np.testing.assert_array_equal(probabilities(loaded.predict(given)), expected(model))
    for given, reason in ((["a", None], "text 1: empty"), (frame.rename(columns=str.upper), "a ta"),
                          ([3.5], "text 0: not a text"), ([" "], "text 0: empty")):  # fmt: skip
        with pytest.raises(mlflow.MlflowException, match=f"^{reason}"):
            loaded.predict(given)
