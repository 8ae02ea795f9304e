"""A decoder that is asked: losses of answers, with or without turns before, and answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sftcore.evaluation.dialogue_sight import Asked, DialogueSight
from sftcore.evaluation.sight import Sight
from sftcore.foundations.turns import ASSISTANT, Turn, read_turns, write_turns
from sftcore.models.network import Network
from sftcore.models.text.answer_tokens import ANSWER
from sftcore.models.text.build import max_length
from sftcore.models.text.decoder import TextDecoder
from sftcore.tasks.finished import Answer, Speaker


@dataclass(frozen=True)
class DialogueSpeaker:
    """See :class:`sftcore.tasks.finished.Speaker`.

    Attributes:
        network: in evaluation mode.
        sight: how it is shown dialogues.
    """

    network: Network
    sight: DialogueSight

    @torch.no_grad()
    def sums(self, dialogues: Sequence[str], before: Sequence[Turn] = ()) -> np.ndarray:
        """See :meth:`sftcore.tasks.finished.Speaker.sums`; with turns before, nothing is cut."""
        rendered = [self.sight.rendered(content, before) for content in dialogues]
        decoder = self.network.backbone
        assert isinstance(decoder, TextDecoder)
        most = max_length("the decoder", decoder.model) if before else None
        found = np.zeros((len(dialogues), 3))
        for rows, batch in self.sight.told(self.sight.encode(rendered, most)):
            _, sums = self.sight.see(self.network, batch, lambda kept: kept)
            found[rows] = sums[: len(rows)].cpu().numpy()
        return found

    def token_ids(self, dialogues: Sequence[str]) -> list[np.ndarray]:
        """See :meth:`sftcore.tasks.finished.Speaker.token_ids`."""
        tokens = self.sight.encode([self.sight.rendered(content) for content in dialogues])
        places = [slice(*tokens.offsets[row : row + 2].tolist()) for row in range(len(tokens))]
        return [tokens.ids[of][tokens.parts[of] == ANSWER] for of in places]

    @torch.no_grad()
    def answers(self, dialogues: Sequence[str], most_tokens: int) -> list[Answer]:
        """See :meth:`sftcore.tasks.finished.Speaker.answers`."""
        sight = self.sight.asking(Asked(most_tokens))
        prompts = [write_turns(prompt_of(read_turns(content))) for content in dialogues]
        return sight.answered(self.network, [sight.tokens_of(prompt) for prompt in prompts])


def prompt_of(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns up to the last answer; nothing of a text without a prompt."""
    places = [place for place, (role, _) in enumerate(turns) if role == ASSISTANT]
    return turns[: places[-1]] if places else []


def speaker_of(network: Network, sight: Sight) -> Speaker | None:
    """The network as one that can be asked; None where it reads no dialogues."""
    return DialogueSpeaker(network, sight) if isinstance(sight, DialogueSight) else None
