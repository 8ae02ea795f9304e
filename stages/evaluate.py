"""Measure the finished model on every split: ``python -m stages.evaluate``.

Writes reports/evaluate. The only stage that reads the test split.
"""

from sftcore.errors import exit_on_error
from sftcore.interruption import leave_on_signals
from sftcore.params import load_params
from sftcore.pipeline.evaluate import evaluate


def main() -> None:
    """Run the stage."""
    metrics = evaluate(load_params())
    test = metrics["test"]
    print(f"test accuracy {test['accuracy']:.3f} on {test['num_pictures']} pictures")


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
