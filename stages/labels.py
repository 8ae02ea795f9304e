"""Name labels that may be wrong: ``python -m stages.labels``.

Reads the train and validation pictures and writes reports/labels. Nothing is changed.
"""

from textwrap import fill

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.early import choose_kernels


def main() -> None:
    """Run the stage."""
    collect_seldom()
    choose_kernels()
    from sftcore.pipeline.labels import LabelsParams, audit_labels
    from sftcore.settings.reading import load_sections

    for sentence in audit_labels(load_sections(LabelsParams)):
        print(fill(sentence, width=96, subsequent_indent="  "))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
