"""R3F: predictions that do not change when the embeddings do, a little."""

import numpy as np
import torch
from torch import Tensor

from sftcore.regularization.embedding_noise import uniform_noise

NOISE_BOUND = 1e-5  # the paper's, for a uniform distribution


def r3f_penalty(logits: Tensor, noised_logits: Tensor) -> Tensor:
    """``Σ_rows KL(p ‖ q) + KL(q ‖ p)`` of the predictions p without and q with noise.

    (Aghajanyan et al., 2021, Better fine-tuning by reducing representational collapse, R3F.) The
    gradient flows into both. Since ``KL(p‖q) + KL(q‖p) = Σ (p − q)·(log p − log q)``, no small
    difference of large numbers is taken.

    Args:
        logits: of the plain embeddings, [B, C].
        noised_logits: of the embeddings with :func:`r3f_noise`, [B, C].

    Returns:
        A scalar, the sum over the rows; it counts with λ/B beside a mean loss.
    """
    log_p, log_q = torch.log_softmax(logits, dim=1), torch.log_softmax(noised_logits, dim=1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()


def r3f_noise(
    lengths: np.ndarray,
    shape: tuple[int, int],
    *,
    rows: np.ndarray,
    seed: int,
    epoch: int,
    bound: float = NOISE_BOUND,
) -> Tensor:
    """Noise for the token embeddings, uniform in ±bound and drawn anew in every epoch.

    Args:
        lengths: tokens of each text, integers [B].
        shape: padded length and width of an embedding.
        rows: drawn rows [B]; the draw of each depends on (seed, epoch, row) alone.
        seed: of the training.
        epoch: counted from 0.
        bound: greatest size.

    Returns:
        float32 [B, L, D], zero behind each text's end.
    """
    bounds = np.full(len(lengths), bound)
    return uniform_noise(
        lengths, shape, bounds, rows=rows, seed=seed, epoch=epoch, purpose="r3f noise"
    )
