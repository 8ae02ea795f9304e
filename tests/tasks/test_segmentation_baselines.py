"""Rows to beat of masks: frequencies by counting, the linear head against scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from sftcore.foundations.errors import DataError
from sftcore.models.dense.maps import Maps, take
from sftcore.optimization.linear_head import STRENGTHS
from sftcore.tasks.segmentation import baselines
from sftcore.tasks.segmentation.baselines import linear_head, most_frequent_class
from sftcore.tasks.segmentation.places import class_counts, drawn_places, stacked_maps
from tests.tasks.finished import PLACES, made_maps, made_masks

MASKS = made_masks()[0].targets
OF = {split: rows[:24] for split, rows in PLACES.items()}


def known(split: str) -> tuple[Maps, torch.Tensor]:
    return made_maps(MASKS, OF[split]), torch.from_numpy(MASKS[OF[split]])


def test_the_most_frequent_class_says_the_frequencies_of_labelled_pixels() -> None:
    masks = torch.full((2, 4, 4), 255, dtype=torch.uint8)
    masks[0, 0], masks[1, :2] = 2, 0
    row = most_frequent_class(masks, 4, 5, 3)
    assert (row.val.shape, row.test.shape) == ((5, 4, 1, 1), (3, 4, 1, 1))
    wanted = np.array([8.5, 0.5, 4.5, 0.5]) / 14
    np.testing.assert_allclose(softmax(row.test, axis=1)[1, :, 0, 0], wanted, rtol=1e-6)
    assert (row.val == row.test[:1]).all()


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (1, 1), (4, 2)])
def test_pixels_are_counted_where_their_centres_lie(size: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).choice([0, 1, 2, 255], size=(2, 8, 11)).astype(np.uint8)
    wanted = np.zeros((2, *size, 3))
    for n, y, x in np.ndindex(masks.shape):
        if masks[n, y, x] < 255:
            wanted[n, y * size[0] // 8, x * size[1] // 11, masks[n, y, x]] += 1
    np.testing.assert_array_equal(class_counts(masks, size, 3), wanted)


def test_maps_from_stride_16_on_are_laid_side_by_side() -> None:
    maps = known("train")[0]
    wide = F.interpolate(maps[32], (2, 2), mode="bilinear", align_corners=False)
    assert torch.equal(stacked_maps(maps)[:, :5], maps[16])
    torch.testing.assert_close(stacked_maps(maps)[:, 5:], wide)
    coarse, fine = Maps((32,), (maps[32],)), Maps((4, 8), (maps[16], maps[8]))
    assert torch.equal(stacked_maps(coarse), maps[32])
    assert torch.equal(stacked_maps(fine), maps[8])


def test_places_are_drawn_alike_from_all_rows_columns_and_pictures() -> None:
    count, most = 31_104, 5000  # 216 maps of 12 by 12 places
    chosen = drawn_places(count, most)
    assert len(chosen) == most
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen[0] <= chosen[-1] < count
    every = np.arange(count)
    for parts in (every % 12, every // 12 % 12, 12 * every // count):
        numbers = np.bincount(parts[chosen], minlength=12)
        assert abs(numbers - most / 12).max() < 4 * (most / 12) ** 0.5  # four standard deviations
    of_place = np.bincount(chosen % 144, minlength=144)  # no place is drawn in each picture
    assert of_place.max() < most / 144 + 5 * (most / 144) ** 0.5


def test_few_places_are_all_taken() -> None:
    assert drawn_places(7, 7).tolist() == drawn_places(7, 99).tolist() == list(range(7))


def their_heads(
    train: tuple[Maps, torch.Tensor], others: dict[str, Maps]
) -> dict[float, dict[str, np.ndarray]]:
    """scikit-learn's probabilities [N, 2, 2, 3] at each strength, learnt from single pixels."""
    features = stacked_maps(train[0]).permute(0, 2, 3, 1).double().numpy()
    rows, labels, is_labelled = [], [], np.zeros(features.shape[:3], dtype=bool)
    for n, y, x in np.ndindex(train[1].shape):
        if train[1][n, y, x] < 255:
            rows.append((n, y // 16, x // 16))
            labels.append(int(train[1][n, y, x]))
            is_labelled[rows[-1]] = True
    mean = features[is_labelled].mean(axis=0)
    scale = np.sqrt(((features[is_labelled] - mean) ** 2).sum(axis=1).mean())
    pairs, counts = np.unique(
        [(*row, label) for row, label in zip(rows, labels, strict=True)], axis=0, return_counts=True
    )
    inputs = (features[tuple(pairs[:, :3].T)] - mean) / scale
    found: dict[float, dict[str, np.ndarray]] = {}
    for strength in STRENGTHS[:-2]:
        model = LogisticRegression(C=1 / (strength * counts.sum()), tol=1e-9, max_iter=20_000)
        model.fit(inputs, pairs[:, 3], sample_weight=counts)
        found[strength] = {}
        for name, maps in others.items():
            of = (stacked_maps(maps).permute(0, 2, 3, 1).double().numpy() - mean) / scale
            found[strength][name] = model.predict_proba(of.reshape(-1, 11)).reshape(-1, 2, 2, 3)
    return found


def test_the_linear_head_is_the_logistic_regression_of_pixels() -> None:
    """Of all strengths, that of the least loss of validation pixels."""
    train, val, test = known("train"), known("val"), known("test")
    row = linear_head(train, val, test[0], 3)
    wanted = their_heads(train, {"val": val[0], "test": test[0]})
    counts = class_counts(val[1].numpy(), (2, 2), 3)
    losses = {of: -(counts * np.log(p["val"])).sum() for of, p in wanted.items()}
    chosen = min(losses, key=losses.__getitem__)
    assert row.settings == {"strength": chosen}
    assert chosen not in (STRENGTHS[0], STRENGTHS[-3])
    for split, answers in (("val", row.val), ("test", row.test)):
        assert answers.dtype == np.float32
        ours = softmax(answers.transpose(0, 2, 3, 1), axis=-1)
        np.testing.assert_allclose(ours, wanted[chosen][split], atol=2e-4)


def test_pixels_without_a_label_and_the_order_of_pictures_change_nothing() -> None:
    train, val, test = known("train"), known("val"), known("test")[0]
    plain = linear_head(train, val, test, 3).test
    turned = torch.arange(len(train[1]) - 1, -1, -1)
    other = linear_head((take(train[0], turned), train[1][turned]), val, test, 3).test
    np.testing.assert_allclose(other, plain, atol=1e-3)
    wild = [tensor.clone() for tensor in train[0].tensors]
    is_unlabelled = (train[1] == 255).all(dim=2).all(dim=1)
    assert is_unlabelled.any()
    for tensor in wild:
        tensor[is_unlabelled] = 1e3
    unseen = linear_head((Maps((8, 16, 32), tuple(wild)), train[1]), val, test, 3).test
    np.testing.assert_array_equal(unseen, plain)


def test_many_places_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val, test = known("train"), known("val"), known("test")[0]
    whole = linear_head(train, val, test, 3).test
    seen, choose = [], baselines.choose_head
    monkeypatch.setattr(
        baselines,
        "choose_head",
        lambda features, *rest: (seen.append(len(features)), choose(features, *rest))[1],
    )
    for name, value in (("_MOST_PLACES", 40), ("_MOST_NUMBERS", 40 * 11)):
        with monkeypatch.context() as patch:
            patch.setattr(baselines, name, value)
            few = linear_head(train, val, test, 3).test
            assert few.shape == whole.shape
            assert not np.allclose(few, whole, atol=1e-3)
    assert all(abs(count - 40) < 5 for count in seen)
    assert len(seen) == 2


def test_nothing_to_learn_from_is_one_clear_error() -> None:
    train, val, test = known("train"), known("val"), known("test")[0]
    nothing = torch.full_like(train[1], 255)
    with pytest.raises(DataError, match="no pixel of the train pictures"):
        linear_head((train[0], nothing), val, test, 3)
    with pytest.raises(DataError, match="no pixel of the val pictures"):
        linear_head(train, (val[0], nothing), test, 3)
