"""Parameters that penalties spare unless they are asked not to: no weights of a linear map.

Shrinking a norm's scale or a LayerScale turns a branch off, and shrinking a token, a position or a
table of biases moves what the network knows towards nothing; weight decay is meant for the matrices
(He et al., 2019, Bag of tricks, section 3.1, for norms and biases; timm's ``no_weight_decay`` for
tokens and tables).
"""

import re
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

_NORM_TYPES = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.Embedding,
)
# The last part of a name; timm and torchvision write them so.
_TOKENS = r"(?:cls|class|dist|reg|mask)_tokens?_?\d*|latent"
_POSITIONS = r"(?:abs\w*_)?pos(?:ition)?_(?:emb\w*)|\w+_pos|rel_pos\w*|(?:height|width)_rel|freqs"
_TABLES = r"\w*bias(?:es)?(?:_table)?|\w*bias_[ih]h_l\d+\w*"
_SCALES = r"gamma\w*|ls\d?|layer_scale\w*|logit_scale|temperature|alpha|beta"
_NAMES = re.compile(f"(?:{_TOKENS}|{_POSITIONS}|{_TABLES}|{_SCALES})")


def find_spared(backbone: Any) -> set[str]:
    """Names of a backbone's parameters that are no weights of a linear map or a convolution.

    These are vectors (norms, biases, LayerScale), whatever norms and embeddings own, tokens, tables
    of positions and of attention biases, scales, and what timm's ``no_weight_decay`` lists.
    """
    owned = {
        parameter
        for module in backbone.modules()
        if isinstance(module, _NORM_TYPES)
        for parameter in module.parameters(recurse=False)
    }
    listed = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    return {
        name
        for name, parameter in backbone.named_parameters()
        if parameter.ndim <= 1
        or parameter in owned
        or _NAMES.fullmatch(name.rpartition(".")[2])
        or any(fnmatchcase(name, pattern) for pattern in listed)
    }
