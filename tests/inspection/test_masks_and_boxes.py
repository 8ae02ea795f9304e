"""Masks and boxes in the report of the data: counts by hand, places of colours, what stays shut."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sftcore.data.annotations import faults
from sftcore.data.annotations.faults import Fault, audit_table
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.store import Store
from sftcore.data.targets.target import TARGET_KINDS
from sftcore.inspection.annotated import how_drawn, legend_of, picture_shown
from sftcore.inspection.annotation_report import annotation_sentences, faults_table
from sftcore.inspection.data_report import terminal_lines, write_data_report
from sftcore.inspection.label_report import why_not_audited
from sftcore.inspection.overview import overview_sentences
from sftcore.inspection.sheets import Cell, Layout, draw_sheet, wrap
from sftcore.inspection.targets.boxes import BoxReport
from sftcore.inspection.targets.contract import Prepared
from sftcore.inspection.targets.masks import MaskReport
from sftcore.inspection.targets.registry import TARGET_REPORTS
from sftcore.reporting.overlays import class_colours
from sftcore.reporting.parts import read_parts

SIDE, IGNORED = 100, 255
SPLITS = ["train", "train", "train", "val", "test"]
MASK_NAMES = ["cat", "background", "dog", "bird"]
BOX_NAMES = ["cat", "dog", "bird"]
GREY = 120
PLAIN = np.full((len(SPLITS), SIDE, SIDE, 3), GREY, dtype=np.uint8)


def masks() -> np.ndarray:
    """Pixels by hand: row 0 has 300 of cat and 100 ignored, row 1 600 of dog; 2 and 3 nothing."""
    found = np.ones((len(SPLITS), SIDE, SIDE), dtype=np.uint8)
    found[0, 20:30, 40:70] = 0
    found[0, 0, :] = IGNORED
    found[1, :6, :] = 2
    found[3, :50] = IGNORED
    found[4] = IGNORED  # hidden
    return found


SHOWN_ON_MASKS = [["background", "cat"], ["background", "dog"], ["background"], ["background"],
                  ["background", "bird"]]  # fmt: skip

NONE = (0.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def boxes() -> np.ndarray:
    """Cats with sides of 10, 32, 33 and a crowd; a dog of 20 by 45; of birds only in the test."""
    rows = [
        [(10, 10, 20, 20, 0, 0), (50, 50, 82, 82, 0, 0), (0, 0, 100, 100, 0, 1)],
        [(5, 5, 38, 38, 0, 0), NONE, NONE],
        [NONE, NONE, NONE],
        [(60, 40, 80, 85, 1, 0), NONE, NONE],
        [NONE, NONE, NONE],
    ]
    return np.array(rows, dtype=np.float32)


SHOWN_ON_BOXES = [["cat"], ["cat"], [], ["dog"], ["bird"]]


def prepared(
    target: str, targets: np.ndarray, names: list[str], shown: list[list[str]]
) -> Prepared:
    number = np.arange(len(shown))
    splits = (SPLITS * len(shown))[: len(shown)]
    samples = pd.DataFrame(
        {
            "row": number,
            "id": [f"p{n}.png" for n in number],
            "labels": [json.dumps(of) for of in shown],
            "split": splits,
            "sha256": [f"{n:064x}" for n in number],
            "group": ["twins" if n < 2 else f"g{n}" for n in number],
            "stratum": "",
        }
    )
    counts = {
        name: {
            split: sum(name in of for of, s in zip(shown, splits, strict=True) if s == split)
            for split in ("train", "val", "test")
        }
        for name in names
    }
    summary = {
        "num_pictures": len(shown),
        "num_labels": len(names),
        "labels": counts,
        "splits": {split: splits.count(split) for split in ("train", "val", "test")},
        "refused": {},
        "near_duplicates": {"num_groups": 1, "num_pictures": 2, "largest_group": 2},
        "annotations": {
            "num_annotations": 1300,
            "faults": {"remark": {"a": 7}, "annotation": {"a": 1, "b": 9}, "picture": {}},
        },
    }
    is_open = samples["split"] != "test"
    store = Store(
        examples=np.full((len(shown), SIDE, SIDE, 3), GREY, dtype=np.uint8),
        targets=targets,
        samples=samples[is_open].reset_index(drop=True),
        names=names,
        digest="",
        splits=("train", "val"),
        target=target,
    )
    return Prepared(store, summary, PICTURE_NAMES)


def of_masks() -> Prepared:
    return prepared("masks", masks(), MASK_NAMES, SHOWN_ON_MASKS)


def of_boxes() -> Prepared:
    return prepared("boxes", boxes(), BOX_NAMES, SHOWN_ON_BOXES)


BOTH = pytest.mark.parametrize("make", [of_masks, of_boxes])


def test_pixels_of_masks_are_parts_of_the_labelled_ones() -> None:
    table = MaskReport().table(of_masks()).set_index("class")
    labelled = 3 * SIDE**2 - 100
    ground = labelled - 300 - 600
    expected = {"cat": 300, "dog": 600, "background": ground, "bird": 0}
    for name, count in expected.items():
        assert table.at[name, "train_pixels"] == pytest.approx(count / labelled, rel=1e-12)
    assert table["val_pixels"].to_dict() == {"cat": 0, "dog": 0, "background": 1, "bird": 0}
    assert table.loc["background", ["train", "val", "test", "all"]].tolist() == [3, 1, 1, 5]
    assert table.index.tolist() == ["bird", "cat", "dog", "background"], "the rarest first"


def test_the_sentence_on_masks_counts_ignored_pixels_and_pictures_of_nothing() -> None:
    text = MaskReport().begin(of_masks())
    assert text.startswith("5 pictures with masks of 4 classes.")
    assert "12.75% are ignored" in text  # 100 and 5,000 of 40,000
    assert text.endswith("with no pixel of a class but background: 2.")
    data = prepared("masks", masks(), ["cat", "ground", "dog", "bird"], SHOWN_ON_MASKS)
    assert MaskReport().begin(data).endswith("with no labelled pixel: 0.")
    data.store.targets[:] = IGNORED
    data.store.targets[0, 0, 0] = 1
    text = MaskReport().begin(data)
    assert text.endswith("with no labelled pixel: 3.")
    assert "100.00% are" in text
    assert np.isnan(MaskReport().table(data)["val_pixels"]).all(), "of nothing there is no part"


def test_few_ignored_pixels_are_not_none() -> None:
    data = of_masks()
    data.store.targets[:] = 1
    assert "0.00% are ignored" in MaskReport().begin(data)
    data.store.targets[0, 5, 5] = IGNORED
    assert "<0.01% are ignored" in MaskReport().begin(data)


def test_boxes_are_counted_and_measured_without_crowds() -> None:
    table = BoxReport().table(of_boxes()).set_index("class")
    assert table["train_boxes"].to_dict() == {"cat": 3, "dog": 0, "bird": 0}
    assert table["val_boxes"].to_dict() == {"cat": 0, "dog": 1, "bird": 0}
    assert table.at["cat", "median_side"] == 32
    assert table.at["cat", "small"] == pytest.approx(2 / 3), "an area of 32² is small"
    assert table.at["dog", "median_side"] == pytest.approx(30, abs=1e-9)
    assert table.at["dog", "small"] == 1
    assert np.isnan(table.at["bird", "median_side"])
    assert np.isnan(table.at["bird", "small"])
    assert table.at["bird", "test"] == 1


def test_the_sentence_on_boxes_counts_crowds_and_pictures_without_any() -> None:
    data = of_boxes()
    text = BoxReport().begin(data)
    assert "5 pictures with boxes of 3 classes." in text
    assert "train and validation: 4. Of crowds, which are" in text
    assert "as objects: 1." in text
    assert text.endswith("without any: 1.")
    data.store.targets[0, 2] = NONE
    assert "crowd" not in BoxReport().begin(data)


@BOTH
def test_what_is_said_does_not_depend_on_the_test_split(make: Callable[[], Prepared]) -> None:
    data, other = make(), make()
    other.store.targets[4] = other.store.targets[0]  # as if it had not been hidden
    report = TARGET_REPORTS[data.store.target]
    assert report.begin(data) == report.begin(other)
    pd.testing.assert_frame_equal(report.table(data), report.table(other))
    assert report.lines(data) == report.lines(other)


@BOTH
def test_lines_fit_a_terminal_and_columns_have_headings(make: Callable[[], Prepared]) -> None:
    data = make()
    report = TARGET_REPORTS[data.store.target]
    lines = report.lines(data)
    assert max(map(len, lines)) <= 80
    assert lines[-1].split() in (["boxes", "3", "1"], ["ignored", "pixels", "0.33%", "50.00%"])
    caption, headings = report.caption(data)
    assert list(headings) == report.table(data).columns.tolist()
    assert "test split stay shut" in caption


@BOTH
def test_every_class_has_a_row_of_pictures_that_show_it(make: Callable[[], Prepared]) -> None:
    data = make()
    selection = TARGET_REPORTS[data.store.target].select(data, 12)
    shown = {of.name: set(of.rows) for of in selection.shown}
    listed = data.store.samples.set_index("row")["labels"].map(json.loads)
    for name in {name for of in listed for name in of}:
        assert shown.pop(name) == {row for row, of in listed.items() if name in of}, name
    assert not shown
    assert selection.noun == "class"


def test_rows_of_classes_show_different_pictures_where_there_are_many() -> None:
    shown = [["background", "cat", "dog"]] * 100
    data = prepared("masks", np.ones((100, SIDE, SIDE), np.uint8), MASK_NAMES, shown)
    first, second, third = (of.rows for of in MaskReport().select(data, 12).shown)
    assert len(first) == len(second) == len(third) == 8
    assert len({*first, *second, *third}) > 18
    assert not {data.store.samples["split"][data.store.samples["row"] == row].item()
                for row in {*first, *second, *third}} - {"train", "val"}  # fmt: skip


def test_notes_name_classes() -> None:
    report, data = MaskReport(), of_masks()
    notes = [report.note(data, {"labels": json.dumps(of)}) for of in [*SHOWN_ON_MASKS, []]]
    assert notes == ["cat", "dog", "background", "background", "bird", "no class"]
    notes = [BoxReport().note(of_boxes(), {"labels": json.dumps(of)}) for of in SHOWN_ON_BOXES]
    assert notes == ["cat", "cat", "no class", "dog", "bird"]


def drawn_pixels(image: np.ndarray) -> set[tuple[int, int]]:
    """Rows and columns that are not as the plain picture is."""
    return set(zip(*np.nonzero((image != GREY).any(axis=2)), strict=True))


@pytest.mark.parametrize("size", [50, 100, 200])
def test_a_box_is_a_line_of_one_pixel_at_its_place(size: int) -> None:
    data = of_boxes()
    image = picture_shown(data.store, 3, size)
    assert image.shape == (size, size, 3)
    left, top, right, bottom = (round(v * size / SIDE) for v in (60, 40, 80, 85))
    expected = {(y, x) for x in range(left, right + 1) for y in (top, bottom)}
    expected |= {(y, x) for y in range(top, bottom + 1) for x in (left, right)}
    assert drawn_pixels(image) == expected
    assert (image[top, left] == class_colours(BOX_NAMES)[1]).all()


def test_a_box_along_the_whole_picture_is_seen_and_a_crowd_is_broken() -> None:
    data = of_boxes()
    data.store.targets[1, 0] = (0, 0, SIDE, SIDE, 2, 0)
    whole = picture_shown(data.store, 1, 80)
    edge = {(y, x) for y in range(80) for x in range(80) if {y, x} & {0, 79}}
    assert drawn_pixels(whole) == edge
    data.store.targets[1, 0, 5] = 1
    crowd = drawn_pixels(picture_shown(data.store, 1, 80))
    assert crowd < edge
    assert 0.3 * len(edge) < len(crowd) < 0.85 * len(edge)


def test_small_boxes_lie_on_large_ones() -> None:
    data = of_boxes()
    data.store.targets[0, 0] = (10, 10, 90, 90, 0, 0)
    data.store.targets[0, 1] = (10, 40, 30, 60, 1, 0)
    data.store.targets[0, 2] = NONE
    colours = class_colours(BOX_NAMES)
    image = picture_shown(data.store, 0, SIDE)
    assert (image[50, 10] == colours[1]).all()
    assert (image[20, 10] == colours[0]).all()


def test_a_mask_tints_its_pixels_with_an_edge_in_its_colour() -> None:
    data = of_masks()
    image = picture_shown(data.store, 0, SIDE)
    colour = np.array(class_colours(MASK_NAMES)[0])
    inside, edge = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    edge[20:30, 40:70], inside[21:29, 41:69] = True, True
    edge &= ~inside
    assert (image[edge] == colour).all()
    tint = image[inside].astype(int)
    assert ((tint - GREY) * (colour - GREY) > 0).all(), "between the picture and the colour"
    assert (tint != colour).all()
    ground = masks()[0] == 1
    assert (image[ground] == GREY).all(), "the background is as it was"
    ignored = image[0]
    assert (ignored[:, 0] > GREY).any(), "hatched"
    assert (ignored == GREY).all(axis=1).any(), "and not covered"
    data = prepared("masks", masks(), ["cat", "Background", "dog", "bird"], SHOWN_ON_MASKS)
    assert (picture_shown(data.store, 2, SIDE) != GREY).any(), "a class of another name"


def test_a_small_mask_is_where_it_was() -> None:
    data = of_masks()
    image = picture_shown(data.store, 1, 50)
    rows = {y for y, _ in drawn_pixels(image)}
    assert rows == {0, 1, 2}


def test_pictures_of_other_targets_are_as_they_are_stored() -> None:
    store = replace(of_masks().store, target="labels")
    assert picture_shown(store, 0, 40).tobytes() == PLAIN[0].tobytes()
    assert legend_of(store, [0, 1]) == []
    assert how_drawn(store) == ""


def test_the_legend_has_what_is_drawn_and_nothing_else() -> None:
    store = of_masks().store
    colours = class_colours(MASK_NAMES)
    assert legend_of(store, [1, 0, 3]) == [("cat", colours[0]), ("dog", colours[2])]
    assert legend_of(store, [2, 3]) == []
    store = of_boxes().store
    assert legend_of(store, [3, 3, 2]) == [("dog", class_colours(BOX_NAMES)[1])]


def test_colours_of_a_legend_are_exact_on_a_sheet_of_many_colours() -> None:
    stream = np.random.default_rng(0)
    layout = Layout(title_width=0, cell_width=106, picture_size=100, num_lines=0)
    noisy = [Cell(stream.integers(0, 256, (100, 100, 3), dtype=np.uint8)) for _ in range(27)]
    noisy += [Cell(picture) for picture in np.full((9, 100, 100, 3), (255, 254, 252), np.uint8)]
    names = [f"class {n}" for n in range(40)]
    legend = list(zip(names, class_colours(names), strict=True))
    rows = wrap(noisy, layout)
    sheet = Image.open(BytesIO(draw_sheet(rows, layout, legend)))
    assert sheet.mode == "P"
    pixels = np.asarray(sheet.convert("RGB"))
    plain = np.asarray(Image.open(BytesIO(draw_sheet(rows, layout))).convert("RGB"))
    above = len(pixels) - len(plain)
    assert above > 3 * 15, "several lines"
    for name, colour in legend:
        assert (pixels[: above + 6] == colour).all(axis=2).sum() >= 100, name
    assert (pixels[:, -3:] == 255).all(), "paper stays white"


LINES = [
    Fault("a.jpg", "x.json", "annotation 1", faults.UNKNOWN_CLASS, "=cow", "annotation"),
    Fault("a.jpg", "x.json", "annotation 2", faults.UNKNOWN_CLASS, "cow", "annotation"),
    Fault("b.jpg", "x.json", "annotation 3", faults.UNKNOWN_CLASS, "cow", "annotation"),
    Fault("b.jpg", "x.json", "annotation 3", faults.DOUBLED, "cat, as 2", "annotation"),
    Fault("c.jpg", "x.json", "", faults.OTHER_SIZE, "1 x 1 declared", "picture"),
    Fault("", "y.xml", "", faults.ORPHAN_FILE, "no picture has its name", "picture"),
    Fault("d.jpg", "", "", faults.NO_FILE, "left out", "remark"),
    Fault("e.jpg", "x.json", "annotation 9", faults.PARTLY_OUTSIDE, "1 px", "remark"),
    Fault("e.jpg", "x.json", "annotation 8", faults.PARTLY_OUTSIDE, "2 px", "remark"),
]


def test_faults_are_counted_the_gravest_first_with_what_was_done() -> None:
    table = faults_table(audit_table(LINES))
    found = list(table[["fault", "count", "num_pictures", "done"]].itertuples(index=False))
    assert [tuple(row) for row in found] == [
        (faults.ORPHAN_FILE, 1, 0, "file left out"),
        (faults.OTHER_SIZE, 1, 1, "picture left out"),
        (faults.UNKNOWN_CLASS, 3, 2, "annotation left out"),
        (faults.DOUBLED, 1, 1, "annotation left out"),
        (faults.PARTLY_OUTSIDE, 2, 1, "clipped to the picture"),
        (faults.NO_FILE, 1, 1, "picture left out"),
    ]
    assert table["count"].sum() == len(LINES)
    assert "spelling" in table["advice"][2]


def test_the_line_on_annotations_adds_up_severities() -> None:
    summary = of_boxes().summary
    line = "Annotations: 1,300; noted 9 x b, 8 x a (data/prepared/annotations.csv)."
    assert annotation_sentences(summary) == [line]
    assert line in overview_sentences(summary)
    many = {"remark": {name: 10 - n for n, name in enumerate("abcdef")}}
    told = {"annotations": {"num_annotations": 5, "faults": many}}
    assert "10 x a, 9 x b, 8 x c, 7 x d, 11 of 2 other kinds (" in annotation_sentences(told)[0]
    told = {"annotations": {"num_annotations": 5, "faults": {"remark": {}}}}
    assert annotation_sentences(told) == ["Annotations: 5, nothing to note."]
    bare = {name: value for name, value in summary.items() if name != "annotations"}
    assert not any("nnotation" in text for text in overview_sentences(bare))


@BOTH
def test_the_page_has_sheets_with_annotations_and_the_audit(
    make: Callable[[], Prepared], tmp_path: Path
) -> None:
    data = make()
    nothing = pd.DataFrame(columns=["id", "label", "reason", "detail"])
    sentences = write_data_report(
        tmp_path / "with", data, nothing, [], [1], annotations=audit_table(LINES)
    )
    assert any(TARGET_REPORTS[data.store.target].score in text for text in sentences)
    parts = {part.title: part for part in read_parts(tmp_path / "with")}
    examples, groups = parts["Pictures of every class"], parts["Near-duplicates"]
    for part in (examples, groups):
        assert how_drawn(data.store) in part.figures[0].caption
        sheet = Image.open(tmp_path / "with" / part.figures[0].file).convert("RGB")
        colour = class_colours(data.store.names)[0]
        assert sheet.getpixel((10, 12)) == colour, "the legend begins with the first class"
        assert sheet.height in (
            6 + 23 + n * side + 6 - 8 for n, side in ((1, 168), (3, 108), (2, 108))
        )
        num = (np.asarray(sheet) == colour).all(axis=2).sum()
        assert num > 121 + 20, "more than the legend is in the colour of the first class"
    audit = parts["Annotations"]
    assert "Annotations in the files of all splits: 1,300. Noted: 9 lines." in audit.text[0]
    assert "Left out: 4 annotations by themselves, and 2 pictures" in audit.text[0]
    written = pd.read_csv(tmp_path / "with" / "annotations.csv", dtype="str", na_filter=False)
    assert len(written) == len(LINES)
    assert "'=cow" in written["detail"].tolist()
    write_data_report(tmp_path / "clean", data, nothing, [], [1], annotations=audit_table([]))
    clean = {part.title: part for part in read_parts(tmp_path / "clean")}
    assert clean["Annotations"].text[0].endswith("Nothing to note of any.")
    write_data_report(tmp_path / "without", data, nothing, [], [1])
    assert "Annotations" not in {part.title for part in read_parts(tmp_path / "without")}
    assert terminal_lines(data) == TARGET_REPORTS[data.store.target].lines(data)


@pytest.mark.parametrize("target", TARGET_KINDS)
def test_every_target_has_a_report_and_all_but_classes_a_reason_not_to_be_audited(
    target: str,
) -> None:
    assert target in TARGET_REPORTS
    reason = why_not_audited(replace(of_masks().store, target=target))
    assert bool(reason) == (target != "class")
