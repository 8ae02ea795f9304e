"""The logged model behind MLflow's own server, asked over HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import Model

from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.evaluation.predict import load_model, look_at
from sftcore.pyfunc_model import save_model
from tests.import_closure import ROOT
from tests.pictures import draw, encode
from tests.tracking.test_tracking import write_small_model

FILES = [
    encode(draw("circle", 1), "JPEG"),
    encode(draw("square", 2, 80), "PNG"),
    encode(draw("stripes", 3).convert("RGBA"), "PNG"),
]


@dataclass(frozen=True)
class Served:
    folder: Path
    port: int

    def ask(self, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
        """Status and answer."""
        address = f"http://127.0.0.1:{self.port}/invocations"
        request = urllib.request.Request(address, body, {"content-type": kind})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    write_small_model(root / "finetuned")
    save_model(root / "logged", root / "finetuned", Model())
    return root


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    yield from serve(model)


def serve(model: Path) -> Iterator[Served]:
    """MLflow's server of ``logged`` in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "logged",
               "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]  # fmt: skip
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (model / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=model, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PATH": places, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    try:
        _wait(port, server, model / "log")
        yield Served(model, port)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def expected(folder: Path, count: int = len(FILES)) -> np.ndarray:
    """What evaluate would say of the files."""
    loaded = load_model(folder / "finetuned")
    squares = [
        decode_square(file, Decoding(32, 10**6, (255, 255, 255))).pixels for file in FILES[:count]
    ]
    return look_at(loaded.network, np.stack(squares), loaded.sight).answers


def floats(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[row[f"p_{name}"] for name in "abc"] for row in rows], dtype=np.float32)


def test_encoded_pictures_over_http_get_the_same_bits(served: Served) -> None:
    texts = [base64.b64encode(file).decode() for file in FILES]
    for body in (
        {"inputs": texts},
        {"instances": texts},
        {"dataframe_split": {"columns": ["picture"], "data": [[text] for text in texts]}},
    ):
        status, answer = served.ask(json.dumps(body).encode())
        assert status == 200, answer
        rows = answer["predictions"]
        np.testing.assert_array_equal(floats(rows), expected(served.folder))
        assert [row["label"] for row in rows] == ["abc"[k] for k in floats(rows).argmax(axis=1)]
    status, answer = served.ask(json.dumps({"inputs": texts[:1]}).encode())
    np.testing.assert_array_equal(floats(answer["predictions"]), expected(served.folder)[:1])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"inputs": [base64.b64encode(b"text" * 50_000).decode()]}, "picture 0: not a picture"),
        ({"inputs": ["***"]}, "picture 0: not base64"),
        ({"inputs": []}, "no picture was given"),
        ({"inputs": [None]}, "picture 0: NoneType was given"),
        ({"inputs": [[1, 2], [3, 4]]}, "an array [2, 2] was given"),
        ({"inputs": {"a": ["AAAA"], "b": ["AAAA"]}}, "2 inputs were given"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}, "a table of 2 columns"),
        ({"pictures": []}, "inputs"),
    ],
)
def test_wrong_bodies_get_a_reason(served: Served, body: Any, reason: str) -> None:
    status, answer = served.ask(json.dumps(body).encode())
    assert status == 400
    message = json.loads(answer)["message"]
    assert reason in message
    if reason != "inputs":  # that one is MLflow's own
        assert "\n" not in message
        assert len(message) < 200


def test_what_is_not_json_is_refused(served: Served) -> None:
    assert served.ask(b"{")[0] == 400
    assert served.ask(FILES[0], "image/jpeg")[0] == 415


def test_bytes_and_pixels_in_a_notebook(model: Path) -> None:
    loaded = mlflow.pyfunc.load_model(str(model / "logged"))
    found = loaded.predict(FILES)
    assert list(found.columns) == ["label", "p_a", "p_b", "p_c"]
    np.testing.assert_array_equal(found.filter(like="p_").to_numpy(), expected(model))
    pixels = np.stack([np.full((32, 32, 3), value, dtype=np.uint8) for value in (0, 255)])
    model_itself = load_model(model / "finetuned")
    direct = look_at(model_itself.network, pixels, model_itself.sight).answers
    for given in (pixels, pixels.astype(np.int64), pixels.tolist()):
        np.testing.assert_array_equal(loaded.predict(given).filter(like="p_").to_numpy(), direct)
    with pytest.raises(mlflow.MlflowException, match="0 to 255"):
        loaded.predict(pixels.astype(np.int64) + 1)
    with pytest.raises(mlflow.MlflowException, match="wanted: "):
        loaded.predict(pixels / 255)


def test_the_server_needs_no_repository(served: Served) -> None:
    assert not (served.folder / "sftcore").exists()
    assert str(ROOT) not in (served.folder / "log").read_text()
