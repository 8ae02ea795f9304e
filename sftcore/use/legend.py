"""Which colour is which class, as a picture beside drawn masks."""

from collections.abc import Sequence

from matplotlib.patches import Patch

from sftcore.reporting.drawing import new_figure, own_style, plain_label, to_png
from sftcore.reporting.overlays import class_colours

_ROWS = 20  # of a column
_WIDTH, _HEIGHT = 2.4, 0.26  # of a name, in inches


@own_style()
def legend_png(names: Sequence[str], background: int | None = None) -> bytes:
    """PNG bytes of the classes' names beside their colours.

    Args:
        names: K.
        background: number of the class that is not drawn.
    """
    patches = []
    for number, (name, colour) in enumerate(zip(names, class_colours(names), strict=True)):
        if number == background:
            patches.append(
                Patch(facecolor="white", edgecolor="grey", label=f"{plain_label(name)}: as it is")
            )
        else:
            red, green, blue = (part / 255 for part in colour)
            patches.append(Patch(facecolor=(red, green, blue), label=plain_label(name)))
    columns = -(-len(patches) // _ROWS)
    size = _WIDTH * columns, _HEIGHT * -(-len(patches) // columns) + 0.3
    figure, axes = new_figure(*size)
    axes[0, 0].axis("off")
    axes[0, 0].legend(handles=patches, loc="center", ncols=columns, frameon=False)
    return to_png(figure)
