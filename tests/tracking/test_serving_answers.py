"""The logged model of answers: in a process without the repository, and behind MLflow's server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.models import Model

from sftcore.evaluation.dialogue_sight import Asked, DialogueSight
from sftcore.evaluation.predict import load_model, look_at
from sftcore.foundations.turns import write_turns
from sftcore.models.text.generation import Sampling
from sftcore.pyfunc_model import save_model
from tests.import_closure import ROOT
from tests.models.text.finished_decoder import write_answer_model
from tests.tracking.test_serving import Served, serve

PROMPTS = ["cat dog red ?", "a house never runs", "tree"]
# With chance: the greedy answers of a network that has learnt nothing are all one.
PARAMS = {"max_tokens": 8, "temperature": 2.0, "seed": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    save_model(root / "logged", write_answer_model(root), Model())
    return root


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    yield from serve(model)


def expected(root: Path) -> list[str]:
    loaded = load_model(root / "models" / "finetuned")
    assert isinstance(loaded.sight, DialogueSight)
    asked = [write_turns([("user", prompt)]) for prompt in PROMPTS]
    seen = look_at(loaded.network, asked, loaded.sight.asking(Asked(8, Sampling(2.0, seed=3))))
    return [of.text for of in seen.answers]


def test_prompts_over_http_get_the_same_answers(served: Served) -> None:
    wanted = expected(served.folder)
    assert len(set(wanted)) == len(PROMPTS)
    messages = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    for body in ({"inputs": PROMPTS}, {"inputs": {"prompt": PROMPTS}}, {"inputs": messages}):
        asked = json.dumps({**body, "params": PARAMS}).encode()
        status, answer = served.ask(asked)
        assert status == 200, answer
        assert [of["answer"] for of in answer["predictions"]] == wanted
    for value, reason in (([" "], "prompt 0: empty"), ([], "no prompt was given")):
        status, answer = served.ask(json.dumps({"inputs": value}).encode())
        assert status == 400
        assert json.loads(answer)["message"].startswith(reason)


def test_it_loads_elsewhere(model: Path, tmp_path: Path) -> None:
    code = (
        "import json, mlflow\n"
        f"model = mlflow.pyfunc.load_model({str(model / 'logged')!r})\n"
        f"answer = model.predict({PROMPTS!r}, params={PARAMS!r})\n"
        "print(json.dumps(answer['answer'].tolist()))\n"
        "import sftcore; print(sftcore.__file__)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, said, place = done.stdout.strip().splitlines()
    assert json.loads(said) == expected(model)
    assert not place.startswith(str(ROOT))
