"""The fine-tuned model for ``mlflow.pyfunc``: code and tensors, no pickle.

MLflow runs this file when it loads the model. Input: uint8 pictures [N, S, S, 3], square and
already laid on the background as the prepare stage does it. Output: probabilities [N, C].
"""

import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature, set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import Schema, TensorSpec

_REQUIRED = ("torch", "torchvision", "timm", "numpy", "pandas", "safetensors")


class ClassifierModel(PythonModel):
    """Loads ``model.safetensors`` and answers with probabilities."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model's files."""
        from sftcore.evaluation.predict import load_model

        self.network, self.record = load_model(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: Any = None
    ) -> np.ndarray:
        """Probabilities [N, C] of uint8 pictures [N, S, S, 3]."""
        from sftcore.evaluation.predict import predict_probabilities

        return predict_probabilities(
            self.network, model_input, mean=self.record.mean, std=self.record.std
        )


def log_model(
    client: MlflowClient, run_id: str, folder: Path, image_size: int, num_classes: int
) -> None:
    """Log the model in ``folder`` to a run, with the code that it needs.

    The client is used throughout, as MLflow's functions without one change the process's tracking
    address and end the run.

    Args:
        client: of the run's store.
        run_id: of a run.
        folder: ``models/finetuned``.
        image_size: side of the pictures in pixels.
        num_classes: C.
    """
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, params=run.data.params
    )
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / "model"
        description = Model(run_id=run_id, model_id=logged.model_id)
        save_model(saved, folder, image_size, num_classes, description)
        client.log_model_artifacts(logged.model_id, str(saved))
    client.finalize_logged_model(logged.model_id, "READY")


def save_model(
    target: Path, folder: Path, image_size: int, num_classes: int, description: Model
) -> None:
    """Write a folder that ``mlflow.pyfunc.load_model`` loads anywhere.

    Args:
        target: folder to write; it must not exist.
        folder: ``models/finetuned``.
        image_size: side of the pictures in pixels.
        num_classes: C.
        description: holds the ids under which MLflow knows the model.
    """
    # Without names: MLflow hands a named tensor over as a mapping instead of as an array.
    pictures = TensorSpec(np.dtype(np.uint8), (-1, image_size, image_size, 3))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, num_classes))
    package = Path(__file__).parent
    with tempfile.TemporaryDirectory() as temporary:
        code = Path(temporary) / package.name
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            path=str(target),
            mlflow_model=description,
            python_model=str(Path(__file__)),
            artifacts={"model": str(folder)},
            signature=ModelSignature(Schema([pictures]), Schema([probabilities])),
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIRED],
        )


set_model(ClassifierModel())
