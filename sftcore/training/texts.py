"""The texts of a store as what an encoder takes."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sftcore.data.loader import rows_of
from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.texts.stored import Texts
from sftcore.foundations.errors import ParamsError
from sftcore.models.settings import ModelSettings
from sftcore.models.text.files import find_files
from sftcore.models.text.tokens import TextTokenizer, Tokens, load_tokenizer
from sftcore.models.values import Sequences, to_device
from sftcore.regularization.token_dropout import drop_tokens
from sftcore.training.tokenised import Tokenised
from sftcore.training.views import View


@dataclass(frozen=True)
class TokenisedTexts(Tokenised[Tokens]):
    """The texts of a store as token ids.

    Attributes:
        tokenizer: that made them.
    """

    tokenizer: TextTokenizer
    own_targets = None

    def view(
        self, augmentation: AugmentationSettings, rows: np.ndarray, seed: int, epoch: int
    ) -> View:
        """See :class:`sftcore.training.views.Examples`; texts are not mixed.

        Raises:
            ParamsError: tokens are to be dropped, and the tokenizer has none to stand for them.
        """
        if augmentation.token_dropout > 0 and self._substitute is None:
            raise ParamsError(
                "the tokenizer has neither a mask token nor an unknown one that could stand for a "
                "dropped token: set train.augmentation.token_dropout to 0"
            )
        return View(augmentation, seed, epoch)

    def read(self, rows: np.ndarray, view: View) -> Sequences:
        """Token ids [B, L] of some drawn rows, some of them hidden where the view has it so."""
        batch = self.tokens.batch(rows_of(rows))
        substitute = self._substitute
        if view.augmentation.token_dropout > 0 and substitute is not None:
            ids = drop_tokens(
                batch.data, batch.lengths, view.augmentation.token_dropout,
                substitute=substitute, special_ids=self.tokenizer.special_ids,
                rows=rows, seed=view.seed, epoch=view.epoch,
            )  # fmt: skip
            batch = replace(batch, data=ids)
        return to_device(batch, self.device)

    @property
    def _substitute(self) -> int | None:
        mask = self.tokenizer.mask_id
        return self.tokenizer.unknown_id if mask is None else mask


def tokenise(texts: Texts, model: ModelSettings, device: torch.device) -> TokenisedTexts:
    """All texts of a store by the tokenizer that belongs to a model.

    Raises:
        WeightsError: there is no tokenizer.
        DataError: a text gives no token.
    """
    tokenizer = load_tokenizer(find_files(model.backbone, model.weights))
    tokens = tokenizer.encode(texts.read(np.arange(len(texts))), model.text.max_tokens)
    return TokenisedTexts(tokens, device, tokenizer)
