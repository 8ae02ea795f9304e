"""Say in six lines what the last run found: ``python -m stages.summary``. Writes nothing."""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.interruption import leave_on_signals
from sftcore.pipeline.summary import summarize


def main() -> None:
    """Print the lines."""
    print("\n".join(summarize()))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
