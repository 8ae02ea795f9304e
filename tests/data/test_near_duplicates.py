"""Which pictures are called the same: hashes, pairs, pixels and groups."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from sftcore.data import hash_pairs
from sftcore.data.hash_pairs import near_pairs
from sftcore.data.near_duplicates import Looks, _stars, confirmed_pairs, near_duplicate_groups
from sftcore.data.pictures.fingerprints import MIRRORED, perceptual_hashes, small_copy
from sftcore.data.pictures.same_picture import are_same
from sftcore.foundations.artifacts import sha256_bytes
from tests.pictures import CLASSES, draw

SIDE = 80
DISTANCE = 40


def sha(number: int) -> str:
    return sha256_bytes(str(number).encode())


def looks_of(images: Sequence[Image.Image]) -> Looks:
    small = np.stack([small_copy(np.asarray(image.convert("RGB"))) for image in images])
    hashes = np.stack([perceptual_hashes(picture) for picture in small])
    return Looks(hashes, partial(are_same, small), np.arange(len(small)))


def random_hashes(count: int, num_variants: int = 3) -> np.ndarray:
    stream = np.random.default_rng(0)
    return stream.integers(0, 2**63, (count, num_variants, 4)).astype(np.uint64)


def recoloured(image: Image.Image) -> Image.Image:
    values = np.asarray(image) * np.array([0.5, 0.9, 0.7]) + np.array([60.0, 0.0, 20.0])
    return Image.fromarray(values.astype(np.uint8))


def cropped(left: float, top: float) -> Callable[[Image.Image], Image.Image]:
    part = 0.05 * SIDE
    return lambda image: image.crop(
        (round(left * part), round(top * part), SIDE - round((1 - left) * part),
         SIDE - round((1 - top) * part))
    )  # fmt: skip


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "rescaled": lambda image: image.resize((50, 50)),
    "stretched": lambda image: image.resize((90, 60)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "grey": lambda image: image.convert("L"),
    "recoloured": recoloured,
    "mirrored": ImageOps.mirror,
    "cropped at the left": cropped(1, 0.5),
    "cropped at the corner": cropped(0, 1),
    "cropped anywhere": cropped(0.3, 0.8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_other_pictures_are_not(change: str) -> None:
    images = [draw(kind, seed, SIDE) for kind in CLASSES for seed in range(8)]
    count = len(images)
    looks = looks_of([*images, *map(CHANGES[change], images)])
    shas = [sha(i) for i in range(2 * count)]
    pairs = confirmed_pairs(looks, shas, DISTANCE)
    found = {(first, second) for first, second in pairs.tolist()}
    wanted = {(row, row + count) for row in range(count)}
    assert found <= wanted
    assert len(found) >= (0.8 if "cropped" in change else 0.95) * count


def test_near_hashes_alone_do_not_make_near_duplicates() -> None:
    images = [draw("circle", seed, SIDE) for seed in range(6)]
    looks = looks_of(images)
    equal = np.repeat(looks.hashes[:1], len(images), axis=0)
    groups = near_duplicate_groups(
        replace(looks, hashes=equal), [sha(i) for i in range(6)], DISTANCE, [""] * 6
    )
    assert len(set(groups.tolist())) == 6


def test_blank_pictures_are_one_picture_whatever_their_colour() -> None:
    blank = [Image.new("RGB", (32, 32), colour) for colour in ("black", "white", "red")]
    noise = np.random.default_rng(0).integers(128, 130, (32, 32, 3)).astype(np.uint8)
    looks = looks_of([*blank, Image.fromarray(noise), draw("square", 0)])
    groups = near_duplicate_groups(looks, [sha(i) for i in range(5)], 256, [""] * 5)
    assert len(set(groups[:3].tolist())) == 1
    assert groups[4] != groups[0]


def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture() -> None:
    small = small_copy(np.asarray(draw("stripes", 1, SIDE)))
    assert (
        perceptual_hashes(small)[MIRRORED]
        == perceptual_hashes(np.ascontiguousarray(small[:, ::-1]))[0]
    ).all()


def test_hashes_stay_as_they_are() -> None:
    words = perceptual_hashes(small_copy(np.asarray(draw("circle", 3, SIDE))))
    assert sha256_bytes(words.astype("<u8").tobytes())[:12] == "c7c59325aa99"


def chain(length: int) -> np.ndarray:
    return np.array([(row, row + 1) for row in range(length - 1)])


def test_groups_do_not_chain() -> None:
    shas = [sha(i) for i in range(12)]
    groups = _stars(chain(12), shas)
    assert np.bincount(groups).max() <= 3
    for row in range(12):
        assert abs(row - groups[row]) <= 1  # everyone beside the group's own picture


def test_groups_do_not_depend_on_the_order_of_rows() -> None:
    stream = np.random.default_rng(0)
    images = [draw(kind, seed, SIDE) for kind in CLASSES for seed in range(4)]
    images += [CHANGES[change](image) for change in CHANGES for image in images[::6]]
    shas = [sha(i) for i in range(len(images))]

    def parts(order: np.ndarray) -> set[frozenset[str]]:
        groups = near_duplicate_groups(
            looks_of([images[i] for i in order]), [shas[i] for i in order], DISTANCE,
            [""] * len(order),
        )  # fmt: skip
        return {frozenset(shas[i] for i in order[groups == g]) for g in set(groups.tolist())}

    first = parts(np.arange(len(images)))
    assert len(first) < len(images)
    assert parts(stream.permutation(len(images))) == first


def test_given_groups_belong_together_and_minus_one_is_off() -> None:
    looks = looks_of([draw("circle", 0)] * 3 + [draw("square", 1)])
    shas = [sha(i) for i in range(4)]
    assert len(set(near_duplicate_groups(looks, shas, -1, [""] * 4).tolist())) == 4
    named = near_duplicate_groups(looks, shas, -1, ["a", "", "", "a"])
    assert named[0] == named[3]
    assert len(set(named.tolist())) == 3
    both = near_duplicate_groups(looks, shas, DISTANCE, ["a", "", "", "a"])
    assert len(set(both.tolist())) == 1


def test_every_pair_within_fifteen_bits_is_found() -> None:
    hashes = random_hashes(300)
    stream = np.random.default_rng(1)
    for row in range(100):
        variant = row % 3
        hashes[row + 100, 0] = hashes[row, variant]
        for bit in stream.choice(256, 15, replace=False):
            hashes[row + 100, 0, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None, :, :1]).sum(axis=-1)
    first, second, variant = np.nonzero(differing <= 15)
    is_pair = np.where(variant == 0, first < second, first != second)
    brute = set(zip(first[is_pair].tolist(), second[is_pair].tolist(), variant[is_pair].tolist(),
                    strict=True))  # fmt: skip
    assert len(brute) >= 100
    assert set(map(tuple, near_pairs(hashes, 15).tolist())) == brute


def test_pairs_do_not_depend_on_the_piece_size(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = random_hashes(300)
    hashes[100:200] = hashes[:100] ^ np.uint64(5)
    hashes[:, :, 0] &= np.uint64(0xFFFF_FFFF_FFFF_0000)  # one chunk that all share
    whole = near_pairs(hashes, 8)
    assert len(whole) >= 100
    monkeypatch.setattr(hash_pairs, "_CANDIDATES_AT_ONCE", 1000)
    np.testing.assert_array_equal(whole, near_pairs(hashes, 8))


def test_crowded_chunks_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_pairs, "_WINDOW", 8)
    hashes = random_hashes(400, 1)
    hashes[200:] = hashes[:200] ^ np.uint64(1 << 40)
    hashes[:, :, 0] &= np.uint64(0xFFFF_FFFF_FFFF_0000)
    assert len(near_pairs(hashes, 4)) == 200


def test_no_pairs_are_no_trouble() -> None:
    looks = looks_of([draw("circle", 0)])
    assert looks.are_same(np.empty((0, 3), dtype=np.int64)).shape == (0,)
    assert near_duplicate_groups(looks, [sha(0)], DISTANCE, [""]).tolist() == [0]
