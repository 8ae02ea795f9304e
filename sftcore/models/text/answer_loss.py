"""The loss of foretold tokens: sums over tokens in fp32, in pieces that memory can hold."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Tokens whose logits are held at once while measuring: 100 MB at 49,152 tokens in the vocabulary.
PIECE = 512
SUM, COUNT, HITS = 0, 1, 2  # columns of what is kept of a row


def of_learnt(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What belongs to the rows of a head's output, in their order.

    Args:
        targets: [B, L, 3], see :meth:`sftcore.models.text.answer_tokens.AnswerTokens.targets`.

    Returns:
        Token ids, int64 [T]; weights, fp32 [T]; whether each is of an answer, bool [T].
    """
    ids, weights, is_answer = targets[targets[..., 1] > 0].unbind(-1)
    return ids.long(), weights.float(), is_answer > 0


def token_loss(output: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Weighted sum of the cross-entropies of tokens.

    Args:
        output: logits [T, V].
        targets: [B, L, 3] with T places of a weight above 0.
        label_smoothing: ε in [0, 1).
    """
    ids, weights, _ = of_learnt(targets)
    losses = torch.nn.functional.cross_entropy(
        output.float(), ids, reduction="none", label_smoothing=label_smoothing
    )
    return (losses * weights).sum()


def answer_sums(head: Callable[[Tensor], Tensor], states: Tensor, targets: Tensor) -> Tensor:
    """Of each row's answers the loss, the tokens, and those that would be the first choice.

    Args:
        head: from states [T, D] to logits [T, V].
        states: at the places of a weight above 0.
        targets: [B, L, 3].

    Returns:
        float64 [B, 3], in nats and tokens.
    """
    is_learnt = targets[..., 1] > 0
    row = torch.arange(len(targets), device=targets.device)[:, None].expand(is_learnt.shape)
    ids, _, is_answer = of_learnt(targets)
    rows = row[is_learnt][is_answer]
    found = torch.cat(list(_measured(head, states[is_answer], ids[is_answer])))
    kept = torch.zeros(len(targets), 3, dtype=torch.float64, device=targets.device)
    return kept.index_add_(0, rows, found)


def _measured(head: Callable[[Tensor], Tensor], states: Tensor, ids: Tensor) -> Iterator[Tensor]:
    """Loss, 1, and whether it is the likeliest, of each token: float64 [t, 3]."""
    for start in range(0, max(1, len(ids)), PIECE):
        own = ids[start : start + PIECE]
        logits = head(states[start : start + PIECE]).float()
        losses = torch.nn.functional.cross_entropy(logits, own, reduction="none")
        hits = logits.argmax(dim=1) == own
        yield torch.stack([losses.double(), torch.ones_like(losses).double(), hits.double()], dim=1)
