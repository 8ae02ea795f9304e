"""Which texts are taken."""

from sftcore.foundations.settings import PositiveCount, Settings, setting


class TextSettings(Settings):
    """Which texts are taken, for a task of texts."""

    max_characters: PositiveCount = setting(
        1_000_000, "characters; longer texts are refused, nothing is ever cut"
    )
