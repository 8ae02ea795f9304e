"""The head that is made for a task."""

from torch import Tensor, nn


class Head(nn.Module):
    """Dropout (Srivastava et al., 2014) and one linear layer: features [B, D] to logits [B, C]."""

    def __init__(self, num_features: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, C] of features [B, D]."""
        return self.linear(self.dropout(features))
