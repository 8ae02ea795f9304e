"""Training, the command and the served model see the same pixels of the same file."""

import base64
from pathlib import Path

import numpy as np
from PIL import Image

from sftcore.data.prepare import prepare
from sftcore.data.store import open_store
from sftcore.use.decoding import open_all
from sftcore.use.inputs import find_files
from sftcore.use.picture_requests import read_request
from tests.conftest import DECODING, PREPARE
from tests.pictures import draw, encode, write_folders


def odd_files() -> dict[str, bytes]:
    """Pictures of other modes, sizes and formats."""
    picture = draw("circle", 77, 60)
    turned = Image.Exif()
    turned[0x0112] = 6
    transparent = picture.convert("RGBA")
    transparent.putalpha(Image.fromarray(np.arange(3600, dtype=np.uint16).reshape(60, 60) // 15)
                         .convert("L"))  # fmt: skip
    wide = Image.fromarray(np.arange(3600, dtype=np.uint16).reshape(60, 60))
    return {
        "turned.jpg": encode(draw("square", 78, 60).crop((0, 0, 60, 35)), "JPEG", exif=turned),
        "transparent.png": encode(transparent),
        "palette.gif": encode(draw("stripes", 79, 60), "GIF"),
        "cmyk.jpg": encode(draw("circle", 80, 60).convert("CMYK"), "JPEG"),
        "grey16.png": encode(wide),
        "thin.webp": encode(draw("square", 81, 60).crop((0, 0, 60, 3)), "WEBP", lossless=True),
    }


def test_all_three_see_the_same_bits(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "set")
    for name, content in odd_files().items():
        (source / "circle" / name).write_bytes(content)
    prepare(**PREPARE, path=source, output=tmp_path / "prepared")
    store = open_store(tmp_path / "prepared", ("train", "val", "test"))
    opened = {
        str(Path(of.named.path).relative_to(source)): of.example
        for of in open_all(find_files([str(source)], tmp_path / "x", "pictures"), DECODING, 2)
    }
    assert set(opened) == set(store.samples["id"])
    assert {f"circle/{name}" for name in odd_files()} <= set(opened)
    for row, name in zip(store.samples["row"], store.samples["id"], strict=True):
        np.testing.assert_array_equal(opened[name], store.images[row])
        content = (source / name).read_bytes()
        given = [content, base64.encodebytes(content).decode()]
        for pixels in read_request(given, DECODING):
            np.testing.assert_array_equal(pixels, store.images[row])
