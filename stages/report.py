"""Put what all stages found on one page: ``python -m stages.report``.

Writes reports/report.html.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals


def main() -> None:
    """Run the stage."""
    collect_seldom()
    from sftcore.pipeline.report import ReportParams, write_page
    from sftcore.settings.reading import load_sections

    write_page(load_sections(ReportParams))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
