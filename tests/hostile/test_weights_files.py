"""Files of tensors are data: none of them is run, and none fills the memory."""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sftcore.foundations.errors import WeightsError
from sftcore.models.start import build_start
from sftcore.models.weights import read_state


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def plain_pickle(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def torch_save(path: Path, bomb: Bomb) -> None:
    torch.save({"weight": torch.zeros(1), "more": bomb}, path)


def torch_save_legacy(path: Path, bomb: Bomb) -> None:
    torch.save({"weight": bomb}, path, _use_new_zipfile_serialization=False)


def zipped_pickle(path: Path, bomb: Bomb) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(bomb))
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("make", [plain_pickle, torch_save, torch_save_legacy, zipped_pickle])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin"])
def test_pickled_code_is_not_run(
    make: Callable[[Path, Bomb], None], suffix: str, tmp_path: Path
) -> None:
    path, marker = tmp_path / f"weights{suffix}", tmp_path / "executed"
    make(path, Bomb(marker))
    with pytest.raises(WeightsError, match="cannot be read as tensors"):
        read_state(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists(), "the bomb must be able to go off"


def safetensors(header: dict[str, Any] | bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * 8


def tensor(shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": list(offsets)}


BAD_SAFETENSORS = {
    "a header longer than the file": safetensors({}, 1 << 40),
    "a header of no JSON": safetensors(b"{" * 10_000),
    "a shape that does not fit": safetensors({"a": tensor([1 << 40], 0, 8)}),
    "offsets that overlap": safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 0, 8)}),
    "offsets behind the end": safetensors({"a": tensor([4], 0, 16)}),
    "negative shape": safetensors({"a": tensor([-2], 0, 8)}),
    "nothing": b"",
}


@pytest.mark.parametrize("case", BAD_SAFETENSORS)
def test_safetensors_that_lie_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(BAD_SAFETENSORS[case])
    with pytest.raises(WeightsError, match="cannot be read as tensors"):
        read_state(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    import timm

    state = timm.create_model("test_efficientnet").state_dict()
    state["conv_stem.weight"].view(-1)[3] = value
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"(?s)not finite.*conv_stem\.weight"):
        build_start(
            backbone="timm/test_efficientnet", weights=str(tmp_path / "weights.pt"), num_classes=2,
            image_size=32, dropout=0.0, seed=0, device=torch.device("cpu"),
        )  # fmt: skip
