"""Measure the finished model on every split: ``python -m stages.evaluate``.

Writes reports/evaluate. The only stage that reads the test split.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.early import choose_kernels


def main() -> None:
    """Run the stage."""
    collect_seldom()
    choose_kernels()
    from sftcore.pipeline.evaluate import EvaluateParams, evaluate
    from sftcore.pipeline.results import first_answer
    from sftcore.settings.reading import load_sections

    print("\n".join(first_answer(evaluate(load_sections(EvaluateParams)))))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
