"""Measure the finished model on every split: ``python -m stages.evaluate``.

Writes reports/evaluate. The only stage that reads the test split.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.instruction_set import choose_instruction_set
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.params import load_params


def main() -> None:
    """Run the stage."""
    params = load_params()
    choose_instruction_set(params.runtime.mode)
    from sftcore.pipeline.evaluate import evaluate, first_answer

    print("\n".join(first_answer(evaluate(params))))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
