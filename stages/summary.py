"""Say in six lines what the last run found: ``python -m stages.summary``. Writes nothing."""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals


def main() -> None:
    """Print the lines."""
    collect_seldom()
    from sftcore.pipeline.summary import summarize

    print("\n".join(summarize()))


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
