"""The fine-tuned model for ``mlflow.pyfunc``: code and tensors, no pickle.

MLflow runs this file when it loads the model. Input: uint8 pictures [N, S, S, 3], square and
already laid on the background as the prepare stage does it. Output: probabilities [N, C].
"""

import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import Schema, TensorSpec

_REQUIRED = ("torch", "torchvision", "timm", "numpy", "pandas", "safetensors", "pillow", "scipy")


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


def log_model(run_id: str, folder: Path, image_size: int, num_classes: int) -> None:
    """Log the model in ``folder`` to a run, with the code that it needs.

    Args:
        run_id: of a run in the store that ``sftcore.tracking.tracking_uri`` names.
        folder: ``models/finetuned``.
        image_size: side of the pictures in pixels.
        num_classes: C.
    """
    from sftcore.tracking import tracking_uri

    pictures = TensorSpec(np.dtype(np.uint8), (-1, image_size, image_size, 3), "pictures")
    probabilities = TensorSpec(np.dtype(np.float32), (-1, num_classes), "probabilities")
    package = Path(__file__).parent
    mlflow.set_tracking_uri(tracking_uri())
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # MLflow would like an input example; the signature says all that it could.
        warnings.simplefilter("ignore")
        code = Path(temporary) / package.name
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("__pycache__"))
        with mlflow.start_run(run_id=run_id):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__)),
                artifacts={"model": str(folder)},
                signature=ModelSignature(Schema([pictures]), Schema([probabilities])),
                code_paths=[str(code)],
                pip_requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIRED],
            )


set_model(ClassifierModel())
