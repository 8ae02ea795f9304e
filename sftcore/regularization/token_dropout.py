"""Token dropout: some words of a text are not shown, other ones in every epoch."""

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.randomness import row_uniforms


def drop_tokens(
    ids: Tensor,
    lengths: Tensor,
    probability: float,
    *,
    substitute: int,
    special_ids: tuple[int, ...],
    rows: np.ndarray,
    seed: int,
    epoch: int,
) -> Tensor:
    """Put a token that says nothing in the place of each real token with probability p.

    (Word dropout: Iyyer et al., 2015, Deep unordered composition rivals syntactic methods, section
    3.1, which leaves words out. Here the place stays, so that positions and lengths do; Bowman et
    al., 2016, Generating sentences from a continuous space, section 3.1, replace by the unknown
    word.) Encoders that were trained on masked words know the mask token as "some word stands
    here"; the unknown one is rare in their training and is second best.

    Args:
        ids: token ids [B, L], int64, on the CPU.
        lengths: of each row, [B].
        probability: p in [0, 1).
        substitute: id of the mask token, or of the unknown one.
        special_ids: never replaced.
        rows: drawn rows [B]; the draw of each depends on (seed, epoch, row) alone.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        [B, L]; what lies behind a row's end stays as it is.
    """
    if probability == 0:
        return ids
    count = ids.shape[1]
    uniforms = row_uniforms(seed, "token dropout", epoch, rows=rows, num=count)
    is_real = torch.arange(count) < lengths[:, None]
    is_special = torch.isin(ids, torch.tensor(special_ids, dtype=ids.dtype))
    is_dropped = torch.from_numpy(uniforms < probability) & is_real & ~is_special
    return torch.where(is_dropped, substitute, ids)
