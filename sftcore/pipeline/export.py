"""The command ``export``: a fine-tuned decoder as a folder that transformers loads by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sftcore.evaluation.dialogue_sight import DialogueSight
from sftcore.evaluation.predict import FineTuned, load_model, read_record
from sftcore.foundations.artifacts import output_folder, read_json
from sftcore.foundations.errors import ParamsError
from sftcore.models.text.decoder import LanguageHead, TextDecoder
from sftcore.models.text.files import CONFIG, TOKENIZER
from sftcore.models.text.templates import ChatTemplate
from sftcore.pipeline.paths import MODEL


def export(out: Path, model: Path = MODEL) -> Iterator[str]:
    """Write configuration, tensors, tokenizer and template as the library names them.

    Args:
        out: folder to write.
        model: folder of the model.

    Yields:
        Lines for the user.

    Raises:
        ParamsError: the model is no decoder, or the folder is there already.
        WeightsError: the model is missing or damaged.
        OutputError: the folder cannot be written.
    """
    record = read_record(model)
    if record.kind != "dialogues":
        raise ParamsError(
            f"{model} is a model of the task {record.task}, whose head the library does not know: "
            "export writes language models alone; use the file model.safetensors, or `predict`"
        )
    if out.exists():
        raise ParamsError(f"{out} is there already: name another folder, or remove it")
    found = load_model(model)
    with output_folder(out) as folder:
        _library_model(found, model).save_pretrained(folder)
        _library_tokenizer(found, model).save_pretrained(folder)
    yield f"wrote {out}: AutoModelForCausalLM.from_pretrained({str(out)!r}) loads it"


def _library_model(found: FineTuned, folder: Path) -> Any:
    """The library's own model with the same tensors."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    decoder, head = found.network.backbone, found.network.head
    assert isinstance(decoder, TextDecoder)
    fields = read_json(folder / CONFIG)
    config = CONFIG_MAPPING[fields["model_type"]].from_dict(fields)
    whole = AutoModelForCausalLM.from_config(config)
    whole.base_model.load_state_dict(decoder.model.state_dict())
    if isinstance(head, LanguageHead):
        whole.get_output_embeddings().load_state_dict({"weight": head.linear.weight})
    else:
        whole.tie_weights()
    return whole.eval()


def _library_tokenizer(found: FineTuned, folder: Path) -> Any:
    """The library's own tokenizer with the template that the model was trained with."""
    from transformers import PreTrainedTokenizerFast

    sight = found.sight
    assert isinstance(sight, DialogueSight)
    end = None if sight.end is None else sight.tokenizer.tokenizer.id_to_token(sight.end)
    names = {"eos_token": end, "pad_token": end} if end else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER), **names)
    if isinstance(sight.template, ChatTemplate):
        tokenizer.chat_template = sight.template.source
    return tokenizer
