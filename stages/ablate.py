"""Measure what helps and which learning rates are stable: ``python -m stages.ablate``.

Writes reports/ablation. Finished cells are kept in .sft/cells and are not trained again.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.early import choose_kernels


def main() -> None:
    """Run the stage."""
    collect_seldom()
    choose_kernels()
    from sftcore.pipeline.ablate import ablate
    from sftcore.settings.studies import load_with_study

    study = ablate(load_with_study())
    print(f"{len(study.results)} cells; {study.verdict['advice']}" if study else "no study")


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
