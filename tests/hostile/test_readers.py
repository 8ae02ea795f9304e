"""The readers of params.yaml and of pictures: they take what is good and refuse the rest."""

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sftcore.data.pictures.decode import Refused, decode
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.yaml_files import read_yaml
from sftcore.settings.tree import Params, load_params
from tests.hostile.inputs import PICTURES, damaged, damaged_params, write_params
from tests.pictures import encode

SLOW_OK = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@SLOW_OK
@given(text=damaged_params())
def test_any_params_are_read_or_refused(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("params")
    with contextlib.chdir(folder), contextlib.suppress(ParamsError):
        assert isinstance(load_params(write_params(folder / "params.yaml", text)), Params)
    assert not (folder / "executed").exists()


ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        ALIAS_BOMB,
        ALIAS_BOMB + "\nseed: *i\ntrain: *i\n",
        "seed: " + "[" * 100_000,
        "seed: " + "{a: " * 20_000,
        "a: 1\na: 2",
        "seed: !!python/object/apply:os.system ['touch executed']",
        "seed: " + "9" * 10_000,
        "\udcff",
        "",
        "[]",
        "text",
    ],
    ids=["aliases", "aliases as values", "lists", "mappings", "twice", "code", "digits", "bytes",
         "empty", "list", "text"],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_hostile_params_are_refused_in_a_moment(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ParamsError) as refused:
        load_params(path)
    assert len(str(refused.value)) < 20_000
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ("{a: ", "}")], ids=["lists", "maps"])
def test_what_is_too_deep_is_refused_before_the_reader_recurses(
    opened: str, closed: str, tmp_path: Path
) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(opened * 39 + closed * 39)
    assert str(read_yaml(path)).count(opened[0]) == 39
    for text in (opened * 41 + closed * 41, opened * 3000):
        path.write_text(text)
        with pytest.raises(ParamsError, match="is nested more than 40 deep"):
            read_yaml(path)


def test_a_folder_in_the_place_of_params_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="is not a file of UTF-8"):
        load_params(tmp_path)


@settings(SLOW_OK, max_examples=300)
@given(content=damaged(PICTURES) | st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_refused(content: bytes) -> None:
    try:
        image = decode(content, max_pixels=100_000, background=(0, 0, 0))
    except Refused:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= 100_000


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def many_frames() -> bytes:
    frames = [Image.new("L", (300, 300), index % 255) for index in range(2000)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=1)


BOMBS = {
    "dimensions": lambda: png(60_000, 60_000, (b"IDAT", zlib.compress(b"\0" * 1000))),
    "text that swells": lambda: png(
        8, 8, (b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 300_000_000)),
        (b"IDAT", zlib.compress(b"\0" * 72)),
    ),
    "profile that swells": lambda: png(
        8, 8, (b"iCCP", b"x\0\0" + zlib.compress(b"a" * 300_000_000)),
        (b"IDAT", zlib.compress(b"\0" * 72)),
    ),
    "pixels that swell": lambda: png(8, 8, (b"IDAT", zlib.compress(b"\0" * 300_000_000))),
    "frames": many_frames,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.timeout(60)
def test_a_bomb_costs_little_memory_and_time(bomb: str) -> None:
    import resource

    content = BOMBS[bomb]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(Refused):
        decode(content, max_pixels=100_000, background=(0, 0, 0))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, f"{grown / 1000:.0f} MB"
