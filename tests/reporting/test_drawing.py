"""Labels that a font can draw, and figures that owe nothing to the reader's settings."""

import matplotlib
import numpy as np
import pytest

from sftcore.reporting.drawing import plain_label
from sftcore.tasks.classification.figures import confusion_figure


@pytest.mark.parametrize("name", ["кошки", "γάτα", "Łódź"])
def test_names_that_the_font_holds_stay(name: str) -> None:
    assert plain_label(name) == name


def test_names_are_composed_drawable_short_and_no_mathematics() -> None:
    assert plain_label("cafe\N{COMBINING ACUTE ACCENT}") == "café"
    assert plain_label("日本\n") == "???"
    assert plain_label("$x$") == r"\$x\$"
    assert len(plain_label("x" * 200)) == 22


def test_the_reader_s_settings_change_no_figure_and_are_left_alone() -> None:
    def draw() -> bytes:
        return confusion_figure(np.eye(3, dtype=np.int64) * 4, ["кошки", "a_$b$", "日本"])

    plain = draw()
    with matplotlib.rc_context({"font.size": 17.0, "axes.facecolor": "yellow"}):
        assert draw() == plain
        assert matplotlib.rcParams["font.size"] == 17.0
