"""The dialogues of a store as what a decoder takes, and the tokens that it is to foretell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import rows_of
from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.texts.stored import Texts
from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import read_turns
from sftcore.models.settings import ModelSettings
from sftcore.models.text.answer_tokens import AnswerTokens, encode_dialogues
from sftcore.models.text.files import find_files
from sftcore.models.text.templates import end_of_text, load_template
from sftcore.models.text.tokens import load_tokenizer
from sftcore.models.values import Sequences, to_device
from sftcore.tasks.contract import OwnTargets
from sftcore.training.tokenised import Tokenised
from sftcore.training.views import View


@dataclass(frozen=True)
class TokenisedDialogues(Tokenised[AnswerTokens]):
    """The dialogues of a store as token ids; see :class:`sftcore.training.views.Examples`.

    Attributes:
        prompt_weight: of a prompt's token in the training loss.
    """

    prompt_weight: float

    @property
    def own_targets(self) -> OwnTargets:
        """The tokens that are to be foretold, float64 [B, L, 3]."""
        return self._targets

    def _targets(self, rows: np.ndarray) -> Tensor:
        return self.tokens.targets(rows, self.prompt_weight).to(self.device)

    def view(
        self, augmentation: AugmentationSettings, rows: np.ndarray, seed: int, epoch: int
    ) -> View:
        """Plain: nothing of a dialogue is changed."""
        return View(augmentation, seed, epoch)

    @property
    def _words(self) -> tuple[str, str]:
        return "dialogues", "the ends of their answers are not learnt"

    def read(self, rows: np.ndarray, view: View) -> Sequences:
        """Token ids [B, L] of some drawn rows, with the places where the head is asked."""
        batch = self.tokens.batch(rows_of(rows), with_prompts=self.prompt_weight > 0)
        return to_device(batch, self.device)


def tokenise_dialogues(
    dialogues: Texts,
    model: ModelSettings,
    device: torch.device,
    prompt_weight: float = 0.0,
    planted: Sequence[str] = (),
) -> TokenisedDialogues:
    """All dialogues of a store, as the model's template has them, by the model's tokenizer.

    Args:
        dialogues: of a store.
        model: names the files.
        device: where the network is.
        prompt_weight: of a prompt's token in the training loss.
        planted: further dialogues, whose rows follow those of the store.

    Raises:
        WeightsError: there is no tokenizer, or a file beside it is damaged.
        DataError: the template cannot say a dialogue, or of one nothing is left to be learnt, or
            one is too long and must not be cut.
    """
    files = find_files(model.backbone, model.weights)
    template, tokenizer = load_template(files, model.text.template), load_tokenizer(files)
    rendered = [
        template.render(read_turns(content))
        for content in [*dialogues.read(np.arange(len(dialogues))), *planted]
    ]
    tokens = encode_dialogues(tokenizer, rendered, model.text.max_tokens, end_of_text(files))
    if tokens.num_cut and model.text.too_long == "refuse":
        raise DataError(
            f"{tokens.num_cut:,} of {len(tokens):,} dialogues are longer than "
            f"model.text.max_tokens ({tokens.max_tokens}), the first is number "
            f"{int(tokens.is_cut.argmax()) + 1}: raise it, leave them out, or set "
            "model.text.too_long to cut"
        )
    return TokenisedDialogues(tokens, device, prompt_weight)
