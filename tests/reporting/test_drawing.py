"""Labels that a font can draw, and figures that owe nothing to the reader's settings."""

from io import BytesIO

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from sftcore.reporting.drawing import new_figure, note, own_style, plain_label, to_png
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


@own_style()
def test_bytes_are_those_of_savefig() -> None:
    def drawn() -> Figure:
        figure, axes = new_figure(6, 3, columns=2)
        axes[0, 0].plot([1, 20, 300], label="a line with a long name")
        axes[0, 1].barh(["one", "another"], [0.5, 1000])
        axes[0, 0].legend(loc="best")
        axes[0, 1].set_title("x")
        note(figure, "what the bars are")
        return figure

    usual = BytesIO()
    drawn().savefig(usual, format="png", metadata={"Software": None})
    assert to_png(drawn()) == usual.getvalue()
