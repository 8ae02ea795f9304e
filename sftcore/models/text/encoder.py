"""A text encoder as a module: token ids in, one row of features out, and the steps between."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError
from sftcore.models.text.families import FAMILIES, Family
from sftcore.models.text.pooling import POOLINGS
from sftcore.models.values import Sequences


@dataclass(frozen=True)
class Step:
    """A part of an encoder.

    Attributes:
        name: shown in tables and messages.
        prefixes: names of the members whose parameters belong to it.
        forward: from what the step before gives.
    """

    name: str
    prefixes: tuple[str, ...]
    forward: Callable[[Any], Any]


class TextEncoder(nn.Module):
    """An encoder of transformers and a pooling.

    Attributes:
        model: the encoder, without its pooler.
        pooling: ``mean``, ``cls`` or ``max``; see :mod:`sftcore.models.text.pooling`.
        families: the rules by which it may be cut, by type of its model.
    """

    families: ClassVar[Mapping[str, Family]] = FAMILIES

    def __init__(self, model: nn.Module, pooling: str) -> None:
        super().__init__()
        self.model: Any = model
        self.pooling = pooling

    @property
    def family(self) -> Family | None:
        """The rule by which it is cut; None where it is computed whole."""
        return self.families.get(self.model.config.model_type)

    @property
    def token_embedding(self) -> nn.Embedding:
        """The table of token embeddings: ids [B, L] to [B, L, E]."""
        return self.model.get_input_embeddings()

    def forward(self, tokens: Sequences) -> Tensor:
        """Features [B, D] of token ids [B, L]."""
        values: Any = tokens
        for step in self.steps():
            values = step.forward(values)
        return values

    def steps(self) -> list[Step]:
        """Embeddings, one step a layer, pooling; or all in one where the family has no rule."""
        if self.family is None:
            return [Step("encoder", ("model",), self._whole)]
        family = self.family
        count = len(self.model.get_submodule(family.layers))
        first_layer = [f"model.{name}" for name in family.first_layer]
        return [
            Step("embeddings", _inside(family.first), self._embed),
            *(
                Step(
                    f"layers.{number}",
                    (f"model.{family.layers}.{number}", *(first_layer if number == 0 else ())),
                    self._layer(number),
                )
                for number in range(count)
            ),
            Step("pooling", _inside(family.last), self._last),
        ]

    def top_layers(self, count: int) -> dict[str, nn.Module]:
        """The last ``count`` layers by name, with what follows them; none for 0.

        Raises:
            WeightsError: there are fewer, or the family has no rule.
        """
        if count == 0:
            return {}
        if self.family is None:
            kind = self.model.config.model_type
            raise WeightsError(f"the layers of {kind} are not known: begin none of them anew")
        total = len(self.model.get_submodule(self.family.layers))
        if count > total:
            raise WeightsError(f"{count} layers are asked for, and the encoder has {total}")
        names = [f"{self.family.layers}.{number}" for number in range(total - count, total)]
        return {name: self.model.get_submodule(name) for name in (*names, *self.family.last)}

    def _embed(self, tokens: Sequences) -> Sequences:
        assert self.family is not None
        return tokens.with_data(self.family.embed(self.model, tokens.data, tokens.is_real.long()))

    def _layer(self, number: int) -> Callable[[Sequences], Sequences]:
        family = self.family
        assert family is not None

        def forward(states: Sequences) -> Sequences:
            after = family.layer(self.model, number, states.data, states.is_real.long())
            return states.with_data(after)

        return forward

    def _last(self, states: Sequences) -> Tensor:
        assert self.family is not None
        data = states.data
        for name in self.family.last:
            data = self.model.get_submodule(name)(data)
        return POOLINGS[self.pooling](states.with_data(data) if self.family.last else states)

    def _whole(self, tokens: Sequences) -> Tensor:
        real = tokens.is_real
        padding = self.model.config.pad_token_id or 0
        ids = tokens.data.masked_fill(~real, padding)
        states = self.model(input_ids=ids, attention_mask=real.long()).last_hidden_state
        return POOLINGS[self.pooling](tokens.with_data(states))


def _inside(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"model.{member}" for member in members)
