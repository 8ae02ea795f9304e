"""How a decoder is shown dialogues: what it makes of their answers, and what it answers itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftcore.evaluation.sight import Sight, full_batches
from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import ASSISTANT, TEXT, Turn, read_turns
from sftcore.models.network import Network
from sftcore.models.text.answer_loss import answer_sums
from sftcore.models.text.answer_tokens import ANSWER, AnswerTokens, encode_dialogues
from sftcore.models.text.files import EncoderFiles
from sftcore.models.text.generation import GREEDY, Continuation, Sampling, continue_prompts
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.templates import Rendered, Template, end_of_text, load_template
from sftcore.models.text.tokens import TextTokenizer, Tokens, load_tokenizer
from sftcore.models.values import Sequences, padded_length, to_device
from sftcore.tasks.finished import Answer

# Few, as dialogues are of many lengths, so that many batches are filled up; and enough, as the
# tokens of a few dialogues are hundreds of rows to multiply.
BATCH_SIZE = 4


@dataclass(frozen=True)
class Told:
    """Dialogues of one width, filled up to a full batch.

    Attributes:
        tokens: token ids [B, L], and where the head is asked.
        targets: the tokens to be foretold [B, L, 3].
        asked: of each row the place of the token that its last answer follows [B].
    """

    tokens: Sequences
    targets: Tensor
    asked: Tensor


@dataclass(frozen=True)
class DialogueSight(Sight):
    """Dialogues, as JSON of their turns; what is said of them are sums over their answers.

    Attributes:
        tokenizer: that belongs to the network.
        template: that makes one text of the turns.
        end: token that ends a text; None where there is none.
        max_tokens: longest dialogue in tokens; longer ones are cut.
        device: where the network is.
    """

    tokenizer: TextTokenizer
    template: Template
    end: int | None
    max_tokens: int
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (a device never changes)

    @property
    def notes(self) -> Mapping[str, str]:
        """Whether the end is cut off."""
        most = self.max_tokens
        return {"cut": f"had more than {most} tokens, and the model saw only the first {most}"}

    def batches(self, examples: Sequence[str] | np.ndarray) -> Iterator[tuple[np.ndarray, Told]]:
        """See :class:`Sight`; the batch's own dialogues fill up.

        Raises:
            DataError: of a dialogue nothing is left to be learnt.
        """
        yield from self.told(self.encode([self.rendered(content) for content in examples]))

    def see(self, network: Network, batch: Told, answers: Any) -> tuple[Tensor, Tensor]:
        """States that the last answers follow [B, D], and sums over all answers, float64 [B, 3]."""
        states = network.run_blocks(batch.tokens, 0, len(network.blocks)).data
        wanted = states[batch.tokens.wanted]
        sums = answer_sums(network.head, wanted, batch.targets)
        return states[torch.arange(len(states), device=states.device), batch.asked], answers(sums)

    def why_not(self, example: str) -> str:
        """A dialogue has to leave something to be learnt."""
        try:
            self.encode([self.rendered(example)])
        except DataError as error:
            return str(error)
        return ""

    def note(self, example: str) -> Mapping[str, bool]:
        """Whether the dialogue is longer than what the network is shown of it."""
        return {"cut": bool(self.encode([self.rendered(example)]).is_cut[0])}

    def rendered(self, example: str, before: Sequence[Turn] = ()) -> Rendered:
        """A dialogue as one text, of which its own answers count.

        Args:
            example: JSON of its turns.
            before: turns that are put before it, behind what the system says.
        """
        turns = read_turns(example)
        first = 1 if before and turns[0][0] == "system" else 0
        whole = self.template.render([*turns[:first], *before, *turns[first:]])
        num_before = sum(role in (ASSISTANT, TEXT) for role, _ in before)
        return replace(whole, answers=whole.answers[num_before:])

    def encode(self, rendered: Sequence[Rendered], max_tokens: int | None = None) -> AnswerTokens:
        """See :func:`sftcore.models.text.answer_tokens.encode_dialogues`."""
        most = self.max_tokens if max_tokens is None else max_tokens
        return encode_dialogues(self.tokenizer, rendered, most, self.end)

    def told(self, tokens: AnswerTokens) -> Iterator[tuple[np.ndarray, Told]]:
        """Dialogues of one width at a time, a full batch of them."""
        for rows, filled in full_batches(tokens.lengths - 1, tokens.max_tokens, BATCH_SIZE):
            asked = torch.tensor([_asked(tokens, row) for row in filled.tolist()])
            batch = Told(
                to_device(tokens.batch(filled), self.device),
                tokens.targets(filled).to(self.device),
                asked.to(self.device),
            )
            yield rows, batch

    def asking(self, asked: "Asked") -> "PromptSight":
        """The same for prompts that are to be answered."""
        return PromptSight(self, asked)


def _key(prompt: Sequence[int]) -> int:
    """Of a prompt's draws: one prompt gets one answer, wherever it stands."""
    return int(sha256_json(list(prompt))[:15], 16)


def _asked(tokens: AnswerTokens, row: int) -> int:
    """The place of the token that a row's last answer follows."""
    parts = tokens.parts[tokens.offsets[row] : tokens.offsets[row + 1]]
    others = np.flatnonzero(parts != ANSWER)
    return int(others[-1]) if len(others) else 0


def dialogue_sight(
    files: EncoderFiles, options: TextOptions, device: torch.device
) -> DialogueSight:
    """How a decoder is shown dialogues.

    Args:
        files: of the decoder.
        options: template and length.
        device: where the network is.

    Raises:
        WeightsError: there is no tokenizer, or a file beside it is damaged.
    """
    return DialogueSight(
        load_tokenizer(files), load_template(files, options.template), end_of_text(files),
        options.max_tokens, device,
    )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How prompts are answered.

    Attributes:
        most_tokens: of an answer.
        sampling: which token comes next.
    """

    most_tokens: int = 128
    sampling: Sampling = field(default_factory=lambda: GREEDY)


@dataclass(frozen=True)
class PromptSight(Sight):
    """Prompts, as JSON of the turns up to the answer that is wanted; what is said is the answer.

    Attributes:
        dialogues: how whole dialogues are shown.
        asked: how prompts are answered.
    """

    dialogues: DialogueSight
    asked: Asked

    @property
    def notes(self) -> Mapping[str, str]:
        """None: a prompt is read whole."""
        return {}

    def why_not(self, example: str) -> str:
        """A prompt has to give a token, and the template to say it."""
        try:
            return "" if self.tokens_of(example) else "no token: the model reads none of it"
        except DataError as error:
            return str(error)

    def note(self, example: str) -> Mapping[str, bool]:
        """Nothing."""
        return {}

    def batches(self, examples: Sequence[str]) -> Iterator[tuple[np.ndarray, list[list[int]]]]:
        """See :class:`Sight`; all at once, as :func:`continue_prompts` makes batches itself."""
        yield np.arange(len(examples)), [self.tokens_of(example) for example in examples]

    def see(self, network: Network, batch: list[list[int]], answers: Any) -> tuple[Tensor, Any]:
        """States that the answers follow [N, D], and the answers, objects [N]."""
        said = np.array(self.answered(network, batch), dtype=object)
        return self._states(network, batch), said

    def answered(self, network: Network, prompts: Sequence[Sequence[int]]) -> list[Answer]:
        """Answers to prompts.

        Args:
            network: in evaluation mode.
            prompts: token ids, at least one of each.

        Raises:
            DataError: a prompt leaves no room for an answer.
        """
        found = continue_prompts(
            network, prompts, most_tokens=self.asked.most_tokens, end=self.dialogues.end,
            sampling=self.asked.sampling, keys=[_key(prompt) for prompt in prompts],
        )  # fmt: skip
        return [self._answer(of) for of in found]

    def tokens_of(self, example: str) -> list[int]:
        """Token ids of a prompt."""
        sight = self.dialogues
        text = sight.template.prompt(read_turns(example))
        with_special = not sight.template.is_whole
        sight.tokenizer.tokenizer.no_truncation()
        found = sight.tokenizer.tokenizer.encode(text, add_special_tokens=with_special).ids
        return list(found[:-1] if with_special and found[-1:] == [sight.end] else found)

    def _answer(self, found: Continuation) -> Answer:
        tokenizer = self.dialogues.tokenizer.tokenizer
        text = tokenizer.decode(list(found.ids), skip_special_tokens=True)
        return Answer(text.strip(), len(found.ids) + found.has_ended, found.has_ended)

    def _states(self, network: Network, prompts: Sequence[Sequence[int]]) -> Tensor:
        """The states of the last tokens [N, D]."""
        lengths = np.array([len(prompt) for prompt in prompts])
        tokens = Tokens(
            np.concatenate([np.array(prompt, dtype=np.int32) for prompt in prompts]),
            np.concatenate([[0], np.cumsum(lengths)]),
            np.zeros(len(prompts), dtype=bool),
            padded_length(int(lengths.max())),
        )
        found: dict[int, Tensor] = {}
        for rows, filled in full_batches(lengths, size=BATCH_SIZE):
            batch = to_device(tokens.batch(filled), self.dialogues.device)
            states = network.run_blocks(batch, 0, len(network.blocks)).data
            last = states[torch.arange(len(states)), batch.lengths - 1]
            found |= dict(zip(rows.tolist(), last, strict=False))
        return torch.stack([found[row] for row in range(len(prompts))])
