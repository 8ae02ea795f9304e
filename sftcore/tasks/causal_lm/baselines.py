"""Rows to beat of answers: how often each token comes, and the model as it came.

As in :mod:`sftcore.tasks.classification.baselines`, answers of the test split decide nothing here.
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from sftcore.foundations.errors import DataError
from sftcore.foundations.randomness import derive_seed
from sftcore.foundations.turns import ASSISTANT, Turn, read_turns
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.finished import Speaker

TOKEN_FREQUENCIES = "token_frequencies"
AS_IT_CAME = "as_it_came"
THREE_EXAMPLES = "three_examples_in_the_prompt"
_NUM_EXAMPLES = 3


def rows_to_beat(
    train: Sequence[str], val: Sequence[str], test: Sequence[str], speaker: Speaker
) -> list[Baseline]:
    """How often each token comes, the model as it came, and with three examples in its prompt.

    The last row is known of the test split alone, and is missing where prompts with examples are
    too long for the model, or the dialogues are texts without prompts.

    Args:
        train: dialogues, JSON of their turns.
        val: likewise.
        test: likewise.
        speaker: the model as it came.
    """
    rows = [token_frequencies(train, val, test, speaker)]
    rows.append(Baseline(AS_IT_CAME, {}, speaker.sums(val), speaker.sums(test)))
    if before := example_turns(train):
        with suppress(DataError):  # they leave no room for the answers
            rows.append(Baseline(THREE_EXAMPLES, {}, np.zeros((0, 3)), speaker.sums(test, before)))
    return rows


def token_frequencies(
    train: Sequence[str], val: Sequence[str], test: Sequence[str], speaker: Speaker
) -> Baseline:
    """What it costs to know how often each token is in the answers of the training dialogues.

    Every token counts once more than it came, so that none is impossible (Laplace's rule of
    succession).

    Args:
        train: dialogues that are counted.
        val: whose tokens are to be foretold.
        test: likewise.
        speaker: whose tokens they are.
    """
    own, *others = (speaker.token_ids(of) for of in (train, val, test))
    most = max(int(ids.max(initial=0)) for of in (own, *others) for ids in of)
    counts = np.bincount(np.concatenate(own), minlength=most + 1) + 1.0
    costs, likeliest = -np.log(counts / counts.sum()), int(counts.argmax())
    of_val, of_test = (
        np.array([[costs[ids].sum(), len(ids), (ids == likeliest).sum()] for ids in of])
        for of in others
    )
    return Baseline(TOKEN_FREQUENCIES, {}, of_val, of_test)


def example_turns(train: Sequence[str]) -> list[Turn]:
    """Three training dialogues one after the other, chosen by a hash of their content.

    Those with the fewest turns are taken, and what the system says in them is left out. Nothing
    where there are no three with prompts.

    Args:
        train: JSON of their turns.
    """
    ordered = sorted(train, key=lambda content: derive_seed(0, "examples", content))
    spoken = [
        [turn for turn in read_turns(content) if turn[0] in ("user", ASSISTANT)]
        for content in ordered
    ]
    chosen = sorted((turns for turns in spoken if turns), key=len)[:_NUM_EXAMPLES]
    return [turn for turns in chosen for turn in turns] if len(chosen) == _NUM_EXAMPLES else []
