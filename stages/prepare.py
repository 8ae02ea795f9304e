"""Open, judge, group and split the examples: ``python -m stages.prepare``.

Writes data/prepared and reports/prepare.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals


def main() -> None:
    """Run the stage."""
    collect_seldom()
    from sftcore.pipeline.prepare import PrepareParams, prepare_and_show
    from sftcore.settings.reading import load_sections

    print("\n".join(prepare_and_show(load_sections(PrepareParams))))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
