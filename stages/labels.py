"""Name labels that may be wrong: ``python -m stages.labels``.

Reads the train and validation pictures and writes reports/labels. Nothing is changed.
"""

from textwrap import fill

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.instruction_set import choose_instruction_set
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.params import load_params


def main() -> None:
    """Run the stage."""
    params = load_params()
    choose_instruction_set(params.runtime.mode)
    from sftcore.pipeline.labels import audit_labels

    for sentence in audit_labels(params):
        print(fill(sentence, width=96, subsequent_indent="  "))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
