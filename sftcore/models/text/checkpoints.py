"""Tensors of a model's files, under the names of the module that takes them."""

import re
from pathlib import Path

from torch import Tensor

from sftcore.foundations.errors import WeightsError
from sftcore.models.packaged import State
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.files import EncoderFiles

# Buffers that older versions wrote, and that are counted anew.
_COUNTED = re.compile(
    r"(?:.*\.)?(?:position_ids|token_type_ids|rotary_emb\.inv_freq"
    r"|h\.\d+\.attn\.(?:masked_)?bias|attention\.(?:masked_)?bias)"
)
# Weights of the head that says which token comes next, as families call them.
_LANGUAGE_HEADS = ("model.lm_head.weight", "model.embed_out.weight")
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # of norms, as TensorFlow called them


def read_encoder(files: EncoderFiles, encoder: TextEncoder) -> State:
    """The tensors of one or several safetensors files; nothing in them is code.

    Args:
        files: of the encoder.
        encoder: whose names are wanted.

    Raises:
        WeightsError: there are none, a file is damaged, or two files hold a tensor of one name.
    """
    state: State = {}
    for path in files.tensors():
        for name, tensor in _read(path, files.origin).items():
            if _COUNTED.fullmatch(name):
                continue
            renamed = _rename(name, encoder.model.base_model_prefix)
            if renamed in state:
                raise WeightsError(f"{files.origin} holds {renamed} twice")
            state[renamed] = tensor
    return state


def take_language_head(state: State) -> Tensor | None:
    """The weights [V, D] of a decoder's head, which leave the table; None where there are none.

    Args:
        state: of :func:`read_encoder`, changed in place.
    """
    found = [state.pop(name) for name in _LANGUAGE_HEADS if name in state]
    return found[0] if found else None


def _read(path: Path, origin: str) -> State:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:
        raise WeightsError(
            f"{path.name} of {origin} cannot be read as tensors ({error}): get it again"
        ) from error


def _rename(name: str, prefix: str) -> str:
    """``bert.embeddings.LayerNorm.gamma`` to ``model.embeddings.LayerNorm.weight``."""
    outer, _, leaf = name.removeprefix(f"{prefix}.").rpartition(".")
    is_norm = outer.rpartition(".")[2] == "LayerNorm"
    leaf = _OLD_NAMES.get(leaf, leaf) if is_norm else leaf
    return f"model.{outer}.{leaf}" if outer else f"model.{leaf}"
