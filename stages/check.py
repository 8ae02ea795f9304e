"""Check params.yaml and the layout of the data: ``python -m stages.check``.

Writes reports/check.json.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals


def main() -> None:
    """Run the stage."""
    collect_seldom()
    from sftcore.pipeline.check import check
    from sftcore.settings.studies import load_with_study

    check(load_with_study())


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
