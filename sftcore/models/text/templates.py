"""Turns of a dialogue as one text, and where in it the answers stand that are learnt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sftcore.foundations.artifacts import read_json, write_json, write_text
from sftcore.foundations.errors import DataError, WeightsError
from sftcore.foundations.turns import ASSISTANT, TEXT, Turn
from sftcore.models.text.files import CONFIG, TEMPLATE, TOKENIZER_FACTS, EncoderFiles

OWN, PLAIN = "own", "plain"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True)
class Rendered:
    """A dialogue as a model is given it.

    Attributes:
        text: the whole of it.
        answers: first character and the one after the last of each stretch that is learnt.
        is_whole: whether the special tokens stand in the text; else the tokenizer adds its own,
            and the end of the text is to be learnt too.
    """

    text: str
    answers: tuple[tuple[int, int], ...]
    is_whole: bool


@dataclass(frozen=True)
class ChatTemplate:
    """How a model was trained to be given dialogues: a Jinja template, run in a sandbox.

    Attributes:
        source: of the template.
        tokens: special tokens that it may name, by the names that it has for them.
        end: what ends an answer.
        is_whole: the special tokens stand in the text.
    """

    source: str
    tokens: dict[str, str]
    end: str
    is_whole: ClassVar[bool] = True

    def render(self, turns: Sequence[Turn]) -> Rendered:
        """A dialogue as one text.

        An answer is what stands between the text up to its turn, which a model is asked with, and
        what ends it. So the model is trained on the very text that it will be asked with. A text
        without a prompt is no dialogue, and stays as it is.

        Raises:
            DataError: the template refuses the dialogue, or rewrites earlier turns when another
                comes: then no text up to a turn is the beginning of the whole.
        """
        roles = [role for role, _ in turns]
        if roles == [TEXT]:
            return PlainTemplate().render(turns)
        whole = self._text(turns)
        answers = []
        for place, role in enumerate(roles):
            if role != ASSISTANT:
                continue
            before = self._text(turns[:place], is_asking=True)
            after = self._text(turns[: place + 1])
            if not (whole.startswith(after) and after.startswith(before)):
                raise DataError(
                    "the chat template of the model rewrites earlier turns, so it cannot be said "
                    "where the answers stand: set model.text.template to one that does not"
                )
            last = after.rfind(self.end, len(before)) if self.end else -1
            answers.append((len(before), len(after) if last < 0 else last + len(self.end)))
        return Rendered(whole, tuple(answers), self.is_whole)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The text that a model is asked with for the next answer.

        Raises:
            DataError: the template refuses the dialogue.
        """
        return self._text(turns, is_asking=True)

    def _text(self, turns: Sequence[Turn], *, is_asking: bool = False) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        messages = [{"role": role, "content": text} for role, text in turns]
        named: dict[str, Any] = dict(self.tokens)
        try:
            found: Any = render_jinja_template(
                [messages], chat_template=self.source, add_generation_prompt=is_asking, **named
            )
        except Exception as error:
            raise DataError(
                f"the chat template of the model cannot say this dialogue ({error}): "
                f"{' then '.join(role for role, _ in turns) or 'no turn'}"
            ) from error
        return str(found[0][0])


@dataclass(frozen=True)
class PlainTemplate:
    """Turns one after the other, for models that were trained on no dialogues.

    Attributes:
        is_whole: the tokenizer adds special tokens of its own.
    """

    is_whole: ClassVar[bool] = False

    def render(self, turns: Sequence[Turn]) -> Rendered:
        """A dialogue as one text; the tokenizer adds its own special tokens."""
        text, answers = "", []
        for role, said in turns:
            text += self._gap(text)
            if role in (ASSISTANT, TEXT):
                answers.append((len(text), len(text) + len(said)))
            text += said
        return Rendered(text, tuple(answers), self.is_whole)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The text that a model is asked with for the next answer."""
        text = self.render(turns).text
        return text + self._gap(text)

    def _gap(self, before: str) -> str:
        return "" if not before or before[-1].isspace() else "\n"


Template = ChatTemplate | PlainTemplate


def load_template(files: EncoderFiles, wanted: str = OWN) -> Template:
    """What makes one text of a dialogue's turns.

    Args:
        files: of a model.
        wanted: :data:`OWN`, the template that lies beside the model's tokenizer, or a plain one
            where there is none; :data:`PLAIN`; or the source of another.

    Raises:
        WeightsError: a file beside the model is damaged.
    """
    if wanted == PLAIN:
        return PlainTemplate()
    file, facts = files.folder / TEMPLATE, _facts(files)
    inner = facts.get("chat_template")
    source = file.read_text() if file.is_file() else inner if isinstance(inner, str) else ""
    source = source if wanted == OWN else wanted
    if not source:
        return PlainTemplate()
    tokens = {name: _content(facts[name]) for name in _SPECIAL if facts.get(name)}
    return ChatTemplate(source, tokens, tokens.get("eos_token", ""))


def write_template(files: EncoderFiles, wanted: str, folder: Path) -> None:
    """Keep a template in a folder, with the special tokens that it names, so that it is its own.

    Args:
        files: of the model that it was used with.
        wanted: see :func:`load_template`.
        folder: of the model that is kept.

    Raises:
        OutputError: the folder cannot be written.
        WeightsError: a file beside the model is damaged.
    """
    template, facts = load_template(files, wanted), _facts(files)
    write_json(folder / TOKENIZER_FACTS, {name: facts[name] for name in _SPECIAL if name in facts})
    if isinstance(template, ChatTemplate):
        write_text(folder / TEMPLATE, template.source)


def end_of_text(files: EncoderFiles) -> int | None:
    """The token that ends a text, by the model's configuration; None where it names none."""
    found = read_json(files.folder / CONFIG).get("eos_token_id")
    if isinstance(found, list):
        return int(found[0]) if found else None
    return None if found is None else int(found)


def _facts(files: EncoderFiles) -> dict[str, object]:
    path = files.folder / TOKENIZER_FACTS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise WeightsError(f"{TOKENIZER_FACTS} of {files.origin} is damaged: {error}") from error
    return found if isinstance(found, dict) else {}


def _content(token: object) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)
