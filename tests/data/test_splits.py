from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from sftcore.artifacts import sha256_bytes
from sftcore.data.near_duplicates import near_duplicate_groups, perceptual_hash
from sftcore.data.splits import assign_splits, crossing_rows, group_leaders
from sftcore.errors import DataError
from tests.pictures import CLASSES, draw


def sha(number: int) -> str:
    return sha256_bytes(str(number).encode())


def split(labels: list[str], leaders: list[str], given: list[str] | None = None, seed: int = 0):
    return assign_splits(
        labels, leaders, given or [""] * len(labels), seed=seed, val_fraction=0.2, test_fraction=0.2
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(60, 150), st.integers(0, 5), st.randoms(use_true_random=False))
def test_adding_a_picture_and_another_order_move_no_other(n: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    rows = [(f"class{i % 2}", sha(i)) for i in range(n)]
    before = dict(zip((s for _, s in rows), split(*map(list, zip(*rows, strict=True)), seed=seed),
                      strict=True))  # fmt: skip
    more = [*rows, ("class0", sha(10_000 + n))]
    random.shuffle(more)
    after = dict(zip((s for _, s in more), split(*map(list, zip(*more, strict=True)), seed=seed),
                     strict=True))  # fmt: skip
    assert all(after[key] == before[key] for key in before)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=60, max_size=120))
def test_groups_never_cross(groups: list[int]) -> None:
    shas = [sha(i) for i in range(len(groups))]
    leaders = group_leaders(shas, np.array(groups))
    if len(set(leaders)) < 3:
        return
    splits = split(["a"] * len(groups), leaders)
    for group in set(groups):
        assert len({s for s, g in zip(splits, groups, strict=True) if g == group}) == 1


def test_every_class_gets_the_wanted_parts() -> None:
    labels = [f"class{i % 4}" for i in range(8000)]
    splits = split(labels, [sha(i) for i in range(8000)])
    for name in set(labels):
        counts = Counter(s for s, label in zip(splits, labels, strict=True) if label == name)
        assert counts["test"] / 2000 == pytest.approx(0.2, abs=0.03)
        assert counts["val"] / 2000 == pytest.approx(0.2, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 12))
def test_a_small_class_has_a_picture_in_every_split(seed: int, size: int) -> None:
    splits = split(["small"] * size, [sha(i) for i in range(size)], seed=seed)
    assert set(splits) == {"train", "val", "test"}


def test_too_few_different_pictures_is_an_error() -> None:
    with pytest.raises(DataError, match="class 'few' has 2 pictures that differ"):
        split(["few"] * 4, [sha(0), sha(0), sha(1), sha(1)])


def test_given_splits_are_kept_and_validation_comes_from_train() -> None:
    n = 400
    given = ["test" if i < 100 else "train" for i in range(n)]
    splits = split(["a"] * n, [sha(i) for i in range(n)], given)
    assert splits[:100] == ["test"] * 100
    assert set(splits[100:]) == {"train", "val"}
    complete = ["train"] * 200 + ["val"] * 100 + ["test"] * 100
    assert split(["a"] * n, [sha(i) for i in range(n)], complete) == complete


def test_crossing_rows_leave_the_test_side() -> None:
    rows = crossing_rows(["train", "test", "val", "train"], ["g", "g", "h", "h"])
    assert rows.tolist() == [0, 3]


def test_changed_copies_have_near_hashes_and_other_pictures_far_ones() -> None:
    for kind in CLASSES:
        image = draw(kind, 3, 80)
        first = perceptual_hash(np.asarray(image))
        for copy in (
            image.resize((60, 60)).resize((80, 80)),
            ImageEnhance.Brightness(image).enhance(0.8),
            image.convert("L").convert("RGB"),
        ):
            assert np.bitwise_count(first ^ perceptual_hash(np.asarray(copy))).sum() <= 30
        other = perceptual_hash(np.asarray(draw(kind, 4, 80)))
        assert np.bitwise_count(first ^ other).sum() > 50


def test_a_blank_picture_has_a_hash() -> None:
    assert not perceptual_hash(np.asarray(Image.new("RGB", (32, 32)))).any()


def test_groups_are_connected_components() -> None:
    hashes = np.array([0b0, 0b1, 0b11, 2**40 - 1, 7 << 58], dtype=np.uint64)[:, None]
    groups = near_duplicate_groups(hashes, 1, ["", "", "", "", ""])
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3
    assert len(set(near_duplicate_groups(hashes, -1, [""] * 5).tolist())) == 5
    named = near_duplicate_groups(hashes, -1, ["a", "", "", "a", ""])
    assert named[0] == named[3]
    assert len(set(named.tolist())) == 4


def test_pairs_do_not_depend_on_the_piece_size(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, (300, 4)).astype(np.uint64)
    hashes[100:200] = hashes[:100] ^ np.uint64(5)
    whole = near_duplicate_groups(hashes, 8, [""] * 300)
    monkeypatch.setattr("sftcore.data.near_duplicates._CHUNK_PAIRS", 1000)
    np.testing.assert_array_equal(whole, near_duplicate_groups(hashes, 8, [""] * 300))
    assert len(set(whole.tolist())) == 200
