import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sftcore.data.pictures.decode import Refused, decode, fit_square
from tests.pictures import draw, encode

BACKGROUND = (10, 200, 30)


def read(content: bytes, max_pixels: int = 100_000) -> np.ndarray:
    return np.asarray(decode(content, max_pixels=max_pixels, background=BACKGROUND))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_the_background(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 0, 255))
    pixels = read(encode(image.convert(mode)))
    assert pixels.shape == (4, 4, 3)
    assert tuple(pixels[0, 0]) == BACKGROUND
    assert tuple(pixels[1, 1]) == (0, 0, 0)


def test_half_transparency_is_mixed() -> None:
    image = Image.new("RGBA", (2, 2), (110, 0, 130, 128))
    np.testing.assert_allclose(read(encode(image))[0, 0], [60, 100, 80], atol=1)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    values = np.array([[0, 257 * 100], [257 * 200, 65535]], dtype=np.uint16)
    pixels = read(encode(Image.fromarray(values)))
    assert pixels[..., 0].tolist() == [[0, 100], [200, 255]]


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_greys_of_fewer_bits_in_sixteen_use_the_whole_range(depth: int) -> None:
    top = 2**depth - 1
    values = np.array([[0, top // 2], [round(top * 0.8), top]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = read(encode(Image.fromarray(values), kind))[..., 0]
        np.testing.assert_allclose(pixels, [[0, 127], [204, 255]], atol=1)


def test_a_dark_grey_is_not_stretched_to_its_own_range() -> None:
    values = np.full((4, 4), 2000, dtype=np.uint16)
    values[0, 0] = 5000  # a 14-bit picture: one third of its range is the brightest
    pixels = read(encode(Image.fromarray(values)))[..., 0]
    assert pixels[0, 0] == round(5000 / 16383 * 255)
    assert pixels[1, 1] == round(2000 / 16383 * 255)
    assert (read(encode(Image.fromarray(np.zeros((4, 4), dtype=np.uint16)))) == 0).all()


def test_float_greys_are_scaled() -> None:
    pixels = read(encode(Image.fromarray(np.array([[0.0, 1.0]], dtype=np.float32)), "TIFF"))
    assert pixels[..., 1].tolist() == [[0, 255]]


def test_cmyk_is_converted() -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # pure cyan
    red, green, blue = read(encode(image, "JPEG"))[4, 4]
    assert red < 40
    assert min(green, blue) > 150


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (6, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert read(encode(image, "JPEG", exif=exif)).shape == (6, 2, 3)


def test_refusals_have_their_reasons() -> None:
    whole = encode(draw("circle", 0, 100), "JPEG")
    cases = {
        b"": "empty file",
        b"hello, this is text": "not a picture",
        whole[: len(whole) // 2]: "truncated",
        encode(draw("circle", 0, 400)): "over the pixel limit",
    }
    for content, reason in cases.items():
        with pytest.raises(Refused) as caught:
            read(content)
        assert caught.value.reason == reason


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(Refused, match="over the pixel limit"):
        read(bomb)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 3000),
)
def test_damaged_files_are_refused_or_read_and_never_crash(
    kind: str, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(encode(draw("square", 1, 20), kind)[: max(length, 1)])
    for position, value in changes:
        content[position % len(content)] = value
    try:
        pixels = read(bytes(content))
    except Refused:
        return
    assert pixels.shape[2] == 3


def test_fit_square_keeps_the_shape_and_centres() -> None:
    square = fit_square(Image.new("RGB", (40, 20), (0, 0, 0)), 16, BACKGROUND)
    assert square.shape == (16, 16, 3)
    assert (square[4:12] == 0).all()
    assert (square[:4] == BACKGROUND).all()
    assert (square[12:] == BACKGROUND).all()
    assert fit_square(Image.new("RGB", (1000, 1)), 16, BACKGROUND).shape == (16, 16, 3)
