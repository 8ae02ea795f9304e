"""Co-Tuning: the source's classes, too, have something to say about a picture.

(You et al., 2020, Co-Tuning for transfer learning.) The classifier that the pretrained network came
with is trained on, towards the source classes that each target class looked like at the start.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def category_relationship(source_logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """``p(yₛ | yₜ = c)``: mean over the class's pictures of the source's probabilities.

    The direct way of the paper's section 3.2.

    Args:
        source_logits: of the pretrained classifier, [N, S].
        labels: target classes [N].
        num_classes: C; a class without a picture gets equal probabilities.

    Returns:
        Probabilities [C, S].
    """
    probabilities = torch.softmax(source_logits.double(), dim=1)
    one_hot = F.one_hot(labels, num_classes).double()
    counts = one_hot.sum(dim=0)[:, None]
    means = one_hot.T @ probabilities / counts.clamp(min=1)
    uniform = torch.full_like(means, 1 / source_logits.shape[1])
    return torch.where(counts > 0, means, uniform).to(source_logits.dtype)


def co_tuning_loss(source_logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy ``−Σₛ p(s | y) log q(s)``, mean over the batch (the paper's eq. 4).

    Args:
        source_logits: of the classifier that is trained on, [B, S].
        wanted: p(yₛ | y) of each picture's label, [B, S].
    """
    return F.cross_entropy(source_logits, wanted)
