"""How unlike the training pictures a picture is, by its features."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 32  # at a time, always so many: another shape gives other last digits


def neighbour_distance(features: Tensor, directions: Tensor, num_neighbours: int) -> np.ndarray:
    """Cosine distance to the k-th nearest known picture: 0 for the same, 2 for the opposite.

    (Sun et al., 2022, Out-of-distribution detection with deep nearest neighbors.) It told other
    pictures apart better than the greatest probability (Hendrycks and Gimpel, 2017), the energy
    (Liu et al., 2020) and the Mahalanobis distance (Lee et al., 2018): ``benchmarks.unlike``.

    Args:
        features: [N, D].
        directions: features of known pictures, of length one [M, D].
        num_neighbours: k; M where there are fewer.

    Returns:
        float32 [N].
    """
    count = min(num_neighbours, len(directions))
    padded = F.pad(features, (0, 0, 0, -len(features) % _ROWS))
    found = [
        (F.normalize(part) @ directions.T).topk(count).values[:, -1] for part in padded.split(_ROWS)
    ]
    return (1 - torch.cat(found))[: len(features)].cpu().numpy()


def known_directions(features: Tensor, most: int) -> Tensor:
    """Features of length one, of at most so many pictures at equal steps.

    Args:
        features: of known pictures [N, D].
        most: more are thinned out.

    Returns:
        float32 [min(N, most), D].
    """
    if len(features) > most:
        features = features[torch.arange(most, device=features.device) * len(features) // most]
    return F.normalize(features)
