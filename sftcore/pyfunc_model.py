"""The fine-tuned model for ``mlflow.pyfunc``: code and tensors, no pickle.

MLflow runs this file when it loads the model. Input: N pictures, as uint8 pixels [N, S, S, 3] laid
on the background as the prepare stage does it, or as encoded files (``bytes``, or base64 text as
JSON needs it), which are decoded as there; or N texts, in a list, an array, a series, or a table
with one column or a column ``text``; or N prompts for a decoder, likewise (a column ``prompt``, or
``messages`` with role and content). Output: a table, as trained. Of classes it has the
column ``label`` and a column ``p_<class>`` of probabilities for each class; of labels a column
``p_<label>`` for each; of numbers a column ``y_<number>`` for each, in its unit; of masks and boxes
what :func:`sftcore.use.served.served_answers` says, in the pixels of each encoded file; of prompts
``answer`` and ``has_ended``, by greedy choice or as ``params`` say (``max_tokens``,
``temperature``, ``top_p``, ``seed``).

It does not know the rules that evaluate fixes later (calibration, sets of labels, thresholds,
intervals, abstention, what is unlike the training pictures): ``python -m sftcore predict`` applies
those.
"""

import json
import logging
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from sftcore.foundations.errors import DataError
from sftcore.foundations.instruction_set import choose_for_torch
from sftcore.tasks.names import CLASSES, LEARNT, PLACED

_REQUIRED = ("torch", "timm", "numpy", "pandas", "safetensors")  # timm groups parameters, too
_REQUIRED_OF_KIND = {
    "pictures": ("torchvision", "pillow"),
    "texts": ("transformers", "tokenizers"),
    "dialogues": ("transformers", "tokenizers", "jinja2"),
}
LABEL, TEXT, PROMPT = "label", "text", "prompt"
# Columns of what lies in a picture, with MLflow's types.
_PLACED_COLUMNS = {
    "masks": {"mask": "string", "classes": "string", "confidence": "double"},
    "boxes": {"num_boxes": "long", "boxes": "string"},
}
# How a decoder answers, where nothing else is said.
_ASKING = {"max_tokens": 128, "temperature": 0.0, "top_p": 1.0, "seed": 0}


class BadInput(MlflowException):
    """What was handed over is no example: status 400 over HTTP, with the reason alone.

    The server would put the whole body before the reason, which may be megabytes of base64.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The reason, whatever the server makes of it."""
        return self._reason

    @message.setter
    def message(self, _: str) -> None:
        """MLflow writes its longer text here before it answers; the reason stays as it is."""


class FineTunedModel(PythonModel):
    """Loads ``model.safetensors`` and answers with what its task's outputs mean."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model's files; torch gets the kernels that the record names, if it can."""
        folder = Path(context.artifacts["model"])
        mode = json.loads((folder / "model.json").read_text(encoding="utf-8")).get("mode")
        if mode and not choose_for_torch(mode):  # a record without it is refused below
            logging.getLogger(__name__).warning(
                "torch had begun with other kernels than the model was measured with (%s): last "
                "digits may differ from those of evaluate", mode,
            )  # fmt: skip
        from sftcore.evaluation.predict import load_model
        from sftcore.tasks.answers import answers_of
        from sftcore.use.requests import request_reader

        self.model = load_model(folder)
        self.record = record = self.model.record
        self.answers = answers_of(record.task, record.facts)
        self.read = request_reader(record)
        self.lock = threading.Lock()  # decoding and the number of threads are the process's

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: Any = None
    ) -> pd.DataFrame:
        """What the model says of N examples, a row each.

        The hint of the input is one that MLflow makes no schema of; what else is taken stands at
        the top of this file.
        """
        from sftcore.evaluation.predict import look_at

        with self.lock, _num_threads(self.record.num_threads):
            try:
                examples = self.read(model_input)
                if LEARNT[self.record.task].target in PLACED:
                    return self._placed(examples)
                sight = self._sight(params or {})
                said = look_at(self.model.network, examples, sight, self.answers).answers
            except DataError as error:
                raise BadInput(str(error)) from error
        if LEARNT[self.record.task].target == "answers":
            return pd.DataFrame(
                {
                    "answer": [of.text for of in said],
                    "has_ended": [of.has_ended for of in said],
                }
            )
        names = self.record.names
        columns = dict(zip(answer_columns(self.record.task, names), said.T, strict=True))
        if LEARNT[self.record.task].target != "class":
            return pd.DataFrame(columns)
        return pd.DataFrame({LABEL: [names[k] for k in said.argmax(axis=1)]} | columns)

    def _placed(self, pictures: Any) -> pd.DataFrame:
        from sftcore.use.served import served_answers

        return served_answers(self.model, self.answers, pictures)

    def _sight(self, params: Mapping[str, Any]) -> Any:
        """How the network is shown examples; a decoder is asked as the caller wants it."""
        if self.record.kind != "dialogues":
            return self.model.sight
        from sftcore.evaluation.dialogue_sight import Asked, DialogueSight
        from sftcore.models.text.generation import Sampling

        sight, asked = self.model.sight, {**_ASKING, **params}
        assert isinstance(sight, DialogueSight)
        most, temperature, top_p = asked["max_tokens"], asked["temperature"], asked["top_p"]
        if most < 1 or not temperature >= 0 or not 0 < top_p <= 1 or asked["seed"] < 0:
            raise DataError(
                "max_tokens should be at least 1, temperature and seed at least 0, and top_p above "
                f"0 and at most 1; given {dict(params)}"
            )
        return sight.asking(Asked(int(most), Sampling(temperature, top_p, int(asked["seed"]))))


def answer_columns(task: str, names: Sequence[str]) -> list[str]:
    """A column for each output: with a prefix none can be called ``label``."""
    prefix = "y" if LEARNT[task].target == "numbers" else "p"
    return [f"{prefix}_{name}" for name in names]


@contextmanager
def _num_threads(count: int) -> Iterator[None]:
    """As many threads as the numbers were measured with; the caller's afterwards."""
    import torch

    earlier = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(earlier)


def log_model(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Log the model in ``folder`` to a run, with the code that it needs.

    The client is used throughout, as MLflow's functions without one change the process's tracking
    address and end the run.

    Args:
        client: of the run's store.
        run_id: of a run.
        folder: ``models/finetuned``.
    """
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, params=run.data.params
    )
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / "model"
        description = Model(run_id=run_id, model_id=logged.model_id)
        save_model(saved, folder, description)
        client.log_model_artifacts(logged.model_id, str(saved))
    client.finalize_logged_model(logged.model_id, "READY")


def save_model(target: Path, folder: Path, description: Model) -> None:
    """Write a folder that ``mlflow.pyfunc.load_model`` loads anywhere.

    Args:
        target: folder to write; it must not exist.
        folder: ``models/finetuned``.
        description: holds the ids under which MLflow knows the model.
    """
    record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    task = record.get("task", CLASSES)  # a model of classes of pictures names no task
    required = (*_REQUIRED, *_REQUIRED_OF_KIND[LEARNT[task].kind])
    package = Path(__file__).parent
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # An example would be a picture of somebody's data.
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        code = Path(temporary) / package.name
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            path=str(target),
            mlflow_model=description,
            python_model=str(Path(__file__)),
            artifacts={"model": str(folder)},
            signature=_signature(task, record),
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in required],
        )


def _signature(task: str, record: Mapping[str, Any]) -> ModelSignature:
    """What MLflow shows of the model's input and output.

    No schema of MLflow lets pixels and encoded files through, so pictures have none; of texts a
    schema would refuse lists, and take the first of several columns for the one that is meant. The
    model checks its input itself: MLflow is told so by the mark that it sets where types of
    Python say what the input is.
    """
    names = record.get("classes") or record["facts"]["names"]
    if LEARNT[task].target == "answers":
        kinds = {int: "long", float: "double"}
        asking = [ParamSpec(name, kinds[type(of)], of) for name, of in _ASKING.items()]
        signature = ModelSignature(
            Schema([ColSpec("string", PROMPT)]),
            Schema([ColSpec("string", "answer"), ColSpec("boolean", "has_ended")]),
            ParamSchema(asking),
        )
        signature._is_signature_from_type_hint = True
        return signature
    if LEARNT[task].target in PLACED:
        columns = {"width": "long", "height": "long"} | _PLACED_COLUMNS[LEARNT[task].target]
        return ModelSignature(outputs=Schema([ColSpec(of, name) for name, of in columns.items()]))
    is_class = LEARNT[task].target == "class"
    kind = "float" if is_class else "double"
    answer = [ColSpec("string", LABEL)] if is_class else []
    answer += [ColSpec(kind, name) for name in answer_columns(task, names)]
    if LEARNT[task].kind == "pictures":
        return ModelSignature(outputs=Schema(answer))
    signature = ModelSignature(Schema([ColSpec("string", TEXT)]), Schema(answer))
    signature._is_signature_from_type_hint = True
    return signature


set_model(FineTunedModel())
