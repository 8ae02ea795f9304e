"""Which words of a text a network's answer rests on: integrated gradients of token embeddings.

Integrated gradients (Sundararajan et al., 2017, Axiomatic attribution for deep networks, eq. 1) go
in a straight line from the embeddings of a text of which no word is shown to those of the text, and
add up along it what each token's embedding does to the answer. Their sum is the difference of the
answers at both ends (completeness, proposition 1); what a sum over finitely many places misses of
it is known and told. The text of which no word is shown is the same text with the mask in every
word's place, which encoders are pretrained to read as "not shown" (the paper's own example of a
text takes zero vectors, which are no token's). Special tokens stay, so they have no part in it.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftcore.evaluation.sight import TextSight
from sftcore.models.network import Network
from sftcore.models.text.tokens import TextTokenizer
from sftcore.models.values import Sequences, to_device
from sftcore.tasks.finished import Explanation, Span

# Places on the line, by Gauss and Legendre's rule, all of them in one batch: so its shape, and with
# it every bit, is a function of the text alone. With 32 the sum missed up to 3 % of what it has to
# be, on four texts by MiniLM with a random head, with 64 up to .2 %.
NUM_PLACES = 64


def explain_texts(
    network: Network,
    sight: TextSight,
    texts: Sequence[str],
    classes: np.ndarray,
    others: np.ndarray,
) -> list[Explanation]:
    """Why a network prefers one class of each text to another, word by word.

    What is explained are the log-odds of the two, the difference of their logits. A word is what
    the tokenizer splits before it looks for tokens; of a text that is cut, the words behind are
    not shown to the network and not among the spans. An explanation has the same bits whatever
    other texts are explained.

    Args:
        network: in evaluation mode; it is left as it was.
        sight: how it is shown texts, on its device.
        texts: N of them.
        classes: class indices that are preferred [N].
        others: class indices that they are preferred to [N].

    Raises:
        DataError: a text gives no token.
    """
    from captum.attr import LayerIntegratedGradients

    def log_odds(ids: Tensor, lengths: Tensor, first: int, second: int) -> Tensor:
        logits = network(Sequences(ids, lengths))
        return logits[:, first] - logits[:, second]

    method = LayerIntegratedGradients(log_odds, network.token_embedding)
    found = []
    for text, first, second in zip(texts, classes, others, strict=True):
        tokens = sight.tokenizer.encode([text], sight.max_tokens).batch(np.zeros(1, dtype=np.int64))
        shown = to_device(tokens, sight.device)
        encoding = sight.tokenizer.tokenizer.encode(text)  # cut as above
        effects, error = method.attribute(
            shown.data,
            _without_words(shown.data, encoding.special_tokens_mask, sight.tokenizer),
            additional_forward_args=(shown.lengths, int(first), int(second)),
            n_steps=NUM_PLACES,
            return_convergence_delta=True,
        )
        weights = effects.double().sum(dim=2)[0].tolist()
        spans = spans_of(text, encoding, weights)
        found.append(Explanation(spans, sum(weights) - float(error)))
    return found


def _without_words(ids: Tensor, is_special: Sequence[int], tokenizer: TextTokenizer) -> Tensor:
    """Token ids [1, L] with the mask, or what is nearest to it, in the place of every word."""
    known = (tokenizer.mask_id, tokenizer.unknown_id, 0)  # 0 stands behind every row's end
    substitute = next(number for number in known if number is not None)
    is_word = torch.zeros_like(ids, dtype=torch.bool)
    is_word[0, : len(is_special)] = ~torch.tensor(is_special, dtype=torch.bool, device=ids.device)
    return ids.masked_fill(is_word, substitute)


def spans_of(text: str, encoding: Any, weights: Sequence[float]) -> tuple[Span, ...]:
    """The words of a text, each with the sum of its tokens' weights.

    Args:
        text: that was tokenised.
        encoding: of the tokenizers library.
        weights: of each token; more of them belong to padding and are left out.
    """
    tokens = zip(
        encoding.special_tokens_mask, encoding.word_ids, encoding.offsets, weights, strict=False
    )
    own = [
        (f"token {place}" if word is None else word, start, end, weight)
        for place, (is_special, word, (start, end), weight) in enumerate(tokens)
        if not is_special
    ]
    spans = []
    for _, parts in groupby(own, lambda token: token[0]):
        _, starts, ends, added = zip(*parts, strict=True)
        word = text[min(starts) : max(ends)]  # some tokenizers count the space before it in
        end = max(ends) - len(word) + len(word.rstrip())
        spans.append(Span(end - len(word.strip()), end, sum(added)))
    return tuple(spans)
