"""Who is shown: by hash, in stated numbers, and nobody of the test split."""

import pandas as pd

from sftcore.inspection.choice import (
    choose_along,
    choose_groups,
    choose_of_classes,
    refused_to_show,
)


def samples(num_classes: int = 4, per_class: int = 30) -> pd.DataFrame:
    rows = [
        {"row": 100 * k + n, "id": f"c{k:04d}/{n:03d}", "label": f"c{k:04d}",
         "sha256": f"{k:04d}{n:060d}", "group": f"g{k}-{n // 2 if k else n}"}
        for k in range(num_classes)
        for n in range(per_class)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_pictures_of_a_class_are_a_hash_s_choice() -> None:
    shown = choose_of_classes(samples(), 10, 12)
    assert [of.name for of in shown] == ["c0000", "c0001", "c0002", "c0003"]
    for k, of in enumerate(shown):
        assert len(set(of.rows)) == 12
        assert of.num_all == 30
        assert all(100 * k <= row < 100 * k + 30 for row in of.rows)
        assert sorted(of.rows) != list(range(100 * k, 100 * k + 12)), "not the first by name"
    shuffled = samples().sample(frac=1, random_state=0)
    assert choose_of_classes(shuffled, 10, 12) == shown


def test_a_thousand_classes_show_as_many_as_stated() -> None:
    many = samples(1000, 3)
    shown = choose_of_classes(many, 80, 12)
    names = [of.name for of in shown]
    assert len(names) == 80
    assert names == sorted(names)
    assert names[0] < "c0200" < "c0800" < names[-1], "from all over the alphabet"
    assert {len(of.rows) for of in shown} == {3}


def test_pictures_along_a_number_are_at_even_ranks() -> None:
    table = samples(2, 21).assign(place=[(7 * n) % 42 / 2 for n in range(42)])
    shown = choose_along(table, "place", 5)
    values = sorted(table["place"])
    assert [float(note) for note in shown.notes] == [values[i] for i in (0, 10, 21, 31, 41)]
    by_row = table.set_index("row")["place"]
    assert [by_row[row] for row in shown.rows] == [float(note) for note in shown.notes]
    assert choose_along(table.sample(frac=1, random_state=0), "place", 5) == shown
    assert len(set(choose_along(table, "place", 100).rows)) == 42
    same = table.assign(place=1.0)
    assert choose_along(same.sample(frac=1, random_state=1), "place", 5) == choose_along(
        same, "place", 5
    )


def test_groups_come_with_the_largest_first() -> None:
    table = samples(3, 6)
    table.loc[table["id"].isin([f"c0000/{n:03d}" for n in range(5)]), "group"] = "zz"
    shown = choose_groups(table, 4, 3)
    assert [(of.name, of.num_all, len(of.rows)) for of in shown] == [
        ("zz", 5, 3), ("g1-0", 2, 2), ("g1-1", 2, 2), ("g1-2", 2, 2),
    ]  # fmt: skip
    assert choose_groups(samples(1), 4, 3) == []


def test_what_looks_like_a_test_picture_is_not_shown() -> None:
    audit = pd.DataFrame(
        [
            ("two labels", "same bytes under two labels", "a, b"),
            ("copy of train", "same bytes as another picture", "kept"),
            ("copy of test", "same bytes as another picture", "hidden"),
            ("near val", "near-duplicate across splits", "... has x in val, which is kept whole"),
            ("near test", "near-duplicate across splits", "... has x in test, which is kept whole"),
            ("broken", "truncated", "x"),
        ],
        columns=["id", "reason", "detail"],
    )
    shown = refused_to_show(audit, {"kept": "train", "hidden": "test"})
    assert shown == ["two labels", "copy of train", "near val"]
