"""A decoder as a module: token ids in, a state of every token out, and the steps between."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sftcore.models.text.decoder_families import DECODERS
from sftcore.models.text.encoder import Step, TextEncoder
from sftcore.models.text.families import Family
from sftcore.models.text.linear import OneDnnLinear, product
from sftcore.models.values import Sequences


class TextDecoder(TextEncoder):
    """A decoder of transformers without the head that says which token comes next.

    Attributes:
        model: the decoder with its last norm.
    """

    families: ClassVar[Mapping[str, Family]] = DECODERS

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, pooling="")

    def forward(self, tokens: Sequences) -> Sequences:  # type: ignore[override]
        """States [B, L, D] of token ids [B, L]; that of a token knows none that comes later."""
        return cast(Sequences, super().forward(tokens))

    def steps(self) -> list[Step]:
        """Embeddings, then one step a layer, the last of which ends with the norm."""
        *steps, end = super().steps()
        if not steps:
            return [end]
        last = steps.pop()

        def forward(states: Sequences) -> Any:
            return end.forward(last.forward(states))

        return [*steps, Step(last.name, (*last.prefixes, *end.prefixes), forward)]

    def _last(self, states: Sequences) -> Sequences:  # type: ignore[override]
        assert self.family is not None
        data = states.data
        for name in self.family.last:
            data = self.model.get_submodule(name)(data)
        return states.with_data(data)

    def _whole(self, tokens: Sequences) -> Sequences:  # type: ignore[override]
        states = self.model(
            input_ids=tokens.data, attention_mask=tokens.is_real.long(), use_cache=False
        ).last_hidden_state
        return tokens.with_data(states)


class LanguageHead(nn.Module):
    """Which token comes next: states [T, D] to logits [T, V]."""

    def __init__(self, num_features: int, num_tokens: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_tokens, bias=False)
        if torch.backends.mkldnn.is_available():
            self.linear.__class__ = OneDnnLinear

    def forward(self, states: Tensor) -> Tensor:
        """Logits [T, V] of states [T, D]."""
        return cast(Tensor, self.linear(states))


class TiedHead(nn.Module):
    """The same with the table of token embeddings as its weights, which stays the backbone's own.

    So the table is one parameter under one name, trained where the embeddings are: not before
    everything is.
    """

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self._tables = (table,)  # not registered: it has an owner

    def forward(self, states: Tensor) -> Tensor:
        """Logits [T, V] of states [T, D]."""
        return product(states, self._tables[0].weight, None)
