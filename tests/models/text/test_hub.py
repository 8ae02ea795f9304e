"""Encoders from the hub's cache and from the hub; both lie on this machine here.

The library reads its variables when it is imported, so each case is a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.text.hub import COMMIT, seed_cache, serve
from tests.models.text.tiny import write_encoder

NAME = "somebody/tiny-bert"
NOWHERE = "http://127.0.0.1:9"  # the port of "discard": nothing listens
CODE = """
import json, sys
from sftcore.foundations.errors import WeightsError
from sftcore.models.text.files import find_files
try:
    files = find_files("transformers/" + sys.argv[1], sys.argv[2])
    answer = {"folder": str(files.folder), "origin": files.origin, "hashes": files.hashes(),
              "torch": "torch" in sys.modules}
except WeightsError as error:
    answer = {"error": str(error)}
print(json.dumps(answer))
"""


def find(home: Path, endpoint: str, weights: str = "pretrained", **more: str) -> dict[str, object]:
    outside = {name: v for name, v in os.environ.items() if not name.startswith(("HF_", "HUGG"))}
    clean = {name: v for name, v in outside.items() if "proxy" not in name.lower()}
    variables = clean | {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "*"} | more
    done = subprocess.run(
        [sys.executable, "-c", CODE, NAME, weights],
        env=variables, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    folder = write_encoder(tmp_path / "made")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_cache_is_enough(tmp_path: Path, files: dict[str, bytes]) -> None:
    snapshot = seed_cache(tmp_path / "home", NAME, files)
    for weights in ("pretrained", "pretrained:main", f"pretrained:{COMMIT}", "none"):
        found = find(tmp_path / "home", NOWHERE, weights)
        assert found["folder"] == str(snapshot), found
    assert find(tmp_path / "home", NOWHERE, HF_HUB_OFFLINE="1")["folder"] == str(snapshot)


def test_what_the_cache_lacks_is_downloaded_once(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "made" / "pytorch_model.bin").write_bytes(b"code")
    with serve(NAME, tmp_path / "made") as (address, asked):
        found = find(tmp_path / "home", address)
        assert "error" not in found, found
        assert asked
        assert not [path for path in asked if path.endswith(".bin")]
        here = {path.name for path in Path(str(found["folder"])).iterdir()}
        assert here == {"config.json", "tokenizer.json", "model.safetensors"}
        for name in here:
            assert (Path(str(found["folder"])) / name).read_bytes() == files[name]
        assert found["origin"] == f"hub {NAME}"
        asked.clear()
        again = find(tmp_path / "home", address)
        assert again == found
        assert asked == []
    assert find(tmp_path / "home", NOWHERE)["hashes"] == found["hashes"]


def test_a_cache_without_tensors_is_filled(tmp_path: Path, files: dict[str, bytes]) -> None:
    seed_cache(tmp_path / "home", NAME, {"config.json": files["config.json"]})
    assert "no model.safetensors" in str(find(tmp_path / "home", NOWHERE)["error"])
    with serve(NAME, tmp_path / "made") as (address, _):
        assert "hashes" in find(tmp_path / "home", address)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    failed = find(tmp_path / "home", NOWHERE)
    assert "the hub does not give it" in str(failed["error"])
    assert "name a folder with config.json" in str(failed["error"])
    with serve("somebody/else", tmp_path) as (address, asked):
        assert "the hub does not give it" in str(find(tmp_path / "home", address)["error"])
        asked.clear()
        nothing = find(tmp_path / "home", address, "none")
        assert "the hub's cache lacks it" in str(nothing["error"])
        assert asked == []
