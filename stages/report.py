"""Put what all stages found on one page: ``python -m stages.report``.

Writes reports/report.html.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.interruption import leave_on_signals
from sftcore.pipeline.report import ReportParams, write_page
from sftcore.settings.reading import load_sections


def main() -> None:
    """Run the stage."""
    write_page(load_sections(ReportParams))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
