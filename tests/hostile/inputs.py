"""Strategies that make bad input out of good, for the tests and for ``reliability.fuzz``."""

from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

from tests.import_closure import ROOT
from tests.pictures import draw, encode

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX", "SGI", "DDS")
PARAMS_TEXT = (ROOT / "params.yaml").read_text()
PICTURES = [
    encode(image.convert(mode), kind)
    for kind in FORMATS
    for image, mode in ((draw("circle", 1), "RGB"), (draw("stripes", 2), "L"))
] + [encode(Image.new("RGBA", (9, 5), (1, 2, 3, 4)), "PNG")]


@st.composite
def damaged(draw_from: st.DrawFn, contents: list[bytes]) -> bytes:
    """One of the contents with some bytes changed, cut out, repeated or added."""
    content = bytearray(draw_from(st.sampled_from(contents)))
    for _ in range(draw_from(st.integers(1, 6))):
        place = draw_from(st.integers(0, max(len(content) - 1, 0)))
        length = draw_from(st.integers(1, 40))
        kind = draw_from(st.sampled_from(("change", "cut", "repeat", "add", "end")))
        if kind == "change" and content:
            content[place] = draw_from(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "repeat":
            content[place:place] = content[place : place + length]
        elif kind == "add":
            content[place:place] = draw_from(st.binary(max_size=length))
        elif kind == "end":
            del content[place:]
    return bytes(content)


YAML_PIECES = (
    "!!python/object/apply:os.system ['touch executed']", "&a [*a]", "*nothing", "{", "[[[[", "? :",
    "1e999", ".nan", "-.inf", "0x" + "f" * 5000, "9" * 5000, "2026-11-23", "!!binary zzz", "\t",
    "\x00", "'", '"', "|", "%YAML 9.9", "---", "...", "null", "yes", "\u202e", "- - - -", "<<: *x",
    "!!set {a}", "!!omap [a: 1]", "12:30:45", "0o9", "~", "[" * 3000, "{a: " * 600,
)  # fmt: skip


@st.composite
def damaged_params(draw_from: st.DrawFn) -> str:
    """params.yaml with values that nobody expects, lines lost or doubled; or any text."""
    if draw_from(st.booleans()):
        lines = PARAMS_TEXT.splitlines()
        for _ in range(draw_from(st.integers(1, 5))):
            place = draw_from(st.integers(0, len(lines) - 1))
            piece = draw_from(st.sampled_from(YAML_PIECES) | st.text(max_size=20))
            kind = draw_from(st.sampled_from(("value", "line", "lose", "double", "indent")))
            if kind == "value":
                lines[place] = f"{lines[place].partition(':')[0]}: {piece}"
            elif kind == "line":
                lines.insert(place, piece)
            elif kind == "lose" and len(lines) > 1:
                del lines[place]
            elif kind == "double":
                lines.insert(place, lines[place])
            elif kind == "indent":
                lines[place] = " " + lines[place]
        return "\n".join(lines)
    return draw_from(st.text(max_size=300) | st.sampled_from(YAML_PIECES))


def write_params(path: Path, text: str) -> Path:
    """The text as a file, also if it is no valid UTF-8."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path
