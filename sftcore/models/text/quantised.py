"""A quantised model in one file (GGUF) as a folder that everything else can read.

The tensors are made once, in single precision, and kept under the sha256 of the file that they came
from: half a minute and four bytes a parameter.
"""

import io
import logging
from contextlib import redirect_stderr
from pathlib import Path

from filelock import FileLock

from sftcore.foundations.artifacts import (
    output_folder,
    require_space,
    sha256_file,
    write_json,
    write_tensors,
)
from sftcore.foundations.errors import WeightsError
from sftcore.foundations.repository import scratch_folder

LOGGER = logging.getLogger("sftcore")
_GROWTH = 8  # times that fp32 is larger than the least that a file may hold a parameter in
_OF_THE_FILE = ("quantization_config", "_name_or_path", "_model_name_or_path")


def unpacked(file: Path) -> Path:
    """The folder with the content of a GGUF file: config.json, tokenizer.json, model.safetensors.

    Args:
        file: of a decoder that transformers can read.

    Raises:
        WeightsError: it cannot be read, or the library for it is not installed.
        OutputError: there is no room for it.
    """
    kept = scratch_folder() / "weights"
    kept.mkdir(parents=True, exist_ok=True)
    folder = kept / sha256_file(file)
    with FileLock(kept / f"{folder.name}.lock"):
        if not folder.is_dir():
            LOGGER.info("%s is unpacked into %s, once", file.name, kept)
            require_space(kept, _GROWTH * file.stat().st_size)
            _unpack(file, folder)
    return folder


def _unpack(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    bars = io.StringIO()  # the library's own, which no setting of it turns off
    try:
        with redirect_stderr(bars):
            model = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except Exception as error:
        raise WeightsError(f"{file.name} cannot be unpacked ({error}): run `make`") from error
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    config = model.config.to_dict()
    with output_folder(folder) as new:
        write_tensors(new / "model.safetensors", state)
        write_json(new / "config.json", {n: config[n] for n in config if n not in _OF_THE_FILE})
        tokenizer.save_pretrained(new)
