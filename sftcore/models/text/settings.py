"""How a text encoder or a decoder is used."""

from typing import Annotated, Literal

from pydantic import Field

from sftcore.foundations.settings import Count, Fraction, Settings, one_of, setting
from sftcore.models.text.pooling import POOLINGS


class TextOptions(Settings):
    """How a text encoder or a decoder is used.

    Dropout is drawn from torch's global stream.
    """

    pooling: Annotated[str, one_of(lambda: POOLINGS)] = setting(
        "mean", "how a text's features are made of its tokens' states"
    )
    hidden_dropout: Fraction = setting(
        0.1, "probability of dropout in the network: hidden states and attention"
    )
    max_tokens: Annotated[int, Field(ge=3)] = setting(
        128, "longest text in tokens, special ones included; longer ones are cut"
    )
    too_long: Literal["cut", "refuse"] = setting(
        "cut", "what is done with a longer dialogue; refuse stops the run"
    )
    template: Annotated[str, Field(pattern=r"^(own|plain|(?s:.*\{.*))$")] = setting(
        "own", "own | plain | <Jinja>: what makes one text of a dialogue's turns"
    )
    reinitialized_layers: Count = setting(0, "last layers that begin anew, with random parameters")
