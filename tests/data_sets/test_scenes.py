"""The shipped scenes: masks, boxes and tables agree, and nothing that is not free is shown."""

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks
from scipy import ndimage

from data.make.composing import IGNORED, MIN_VISIBLE
from data.make.debian import DRAWINGS, KEYWORDS, PAPERS, SURFACES
from data.make.drawings import as_jpeg
from data.make.folders import DATA, read_sums
from data.make.grounds import SIDE, read_textures
from data.make.scenes import (
    MAX_COUNT,
    NUM_EMPTY,
    NUM_POOLS,
    QUALITY,
    SCENES_PER_POOL,
    mask_png,
    open_pieces,
    scenes,
)
from data.make.things import CLASSES, deal, read_things
from sftcore.foundations.artifacts import sha256_bytes

FOLDER = DATA / "scenes"
ROOT = Path("/")
VALUES = {name: value for value, name in enumerate(CLASSES, start=1)}
FREE = {"public domain", "CC0-1.0"}
# pycocotools 2.0 converts its arrays in a way that NumPy 2 finds outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def coco() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "annotations.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def masks() -> dict[int, np.ndarray]:
    """The shipped masks by the ids of their pictures."""
    return {
        number: np.asarray(Image.open(FOLDER / row["mask"]))
        for number, row in enumerate(rows_of("labels.csv"), start=1)
    }


def decoded(annotation: dict[str, Any]) -> np.ndarray:
    """The mask of an annotation as pycocotools reads it."""
    height, width = annotation["segmentation"]["size"]
    runs = coco_masks.frPyObjects(annotation["segmentation"], height, width)
    return coco_masks.decode(runs).astype(bool)


def by_image(coco: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    for annotation in coco["annotations"]:
        found[annotation["image_id"]].append(annotation)
    return found


def test_boxes_and_areas_are_those_of_the_visible_pixels(coco: dict[str, Any]) -> None:
    for annotation in coco["annotations"]:
        mask = decoded(annotation)
        runs = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert annotation["bbox"] == coco_masks.toBbox(runs).tolist()
        assert annotation["area"] == coco_masks.area(runs) == mask.sum() > 0
        assert annotation["iscrowd"] == 0
        assert MIN_VISIBLE <= annotation["visible"] <= 1


def test_the_class_of_every_pixel_is_that_of_the_thing_it_shows(
    coco: dict[str, Any], masks: dict[int, np.ndarray]
) -> None:
    found = by_image(coco)
    for number, mask in masks.items():
        painted = np.zeros((SIDE, SIDE), dtype=int)
        for annotation in found[number]:
            visible = decoded(annotation)
            assert not painted[visible].any(), "a pixel belongs to two things"
            painted[visible] = annotation["category_id"]
        known = mask != IGNORED
        assert (mask[known] == painted[known]).all()


def test_ignored_pixels_lie_at_edges(coco: dict[str, Any], masks: dict[int, np.ndarray]) -> None:
    """Nine of ten have a neighbour of another thing; the others are glass and shadows."""
    num_ignored = num_at_edge = 0
    found = by_image(coco)
    for number, mask in masks.items():
        owner = np.zeros((SIDE, SIDE), dtype=int)
        for annotation in found[number]:
            owner[decoded(annotation)] = annotation["id"]
        at_edge = ndimage.maximum_filter(owner, 5) != ndimage.minimum_filter(owner, 5)
        num_ignored += (mask == IGNORED).sum()
        num_at_edge += (at_edge & (mask == IGNORED)).sum()
    assert num_at_edge > 0.9 * num_ignored > 0


def test_ids_and_pictures_are_those_of_the_table(coco: dict[str, Any]) -> None:
    rows, images = rows_of("labels.csv"), coco["images"]
    assert [image["file_name"] for image in images] == [row["path"] for row in rows]
    assert [image["group"] for image in images] == [row["group"] for row in rows]
    assert [image["id"] for image in images] == list(range(1, len(rows) + 1))
    assert [row["id"] for row in coco["annotations"]] == list(
        range(1, 1 + len(coco["annotations"]))
    )
    assert {row["image_id"] for row in coco["annotations"]} <= set(range(1, len(rows) + 1))
    assert {row["name"]: row["id"] for row in coco["categories"]} == VALUES
    assert {(image["width"], image["height"]) for image in images} == {(SIDE, SIDE)}
    listed = {name for name in read_sums(FOLDER) if name.startswith("masks/")}
    assert listed == {row["mask"] for row in rows}
    assert all(Path(row["mask"]).stem == Path(row["path"]).stem for row in rows)


def test_masks_are_indices_with_the_colours_of_the_classes() -> None:
    classes = {int(row["value"]): row for row in rows_of("classes.csv")}
    assert {row["name"]: value for value, row in classes.items()} == VALUES | {
        "background": 0,
        "ignored": IGNORED,
    }
    for row in rows_of("labels.csv"):
        with Image.open(FOLDER / row["mask"]) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "P", (SIDE, SIDE))
            values, palette = np.unique(np.asarray(image)), image.getpalette()
        assert set(values.tolist()) <= set(classes)
        assert palette is not None
        for value in values.tolist():
            colour = "#" + bytes(palette[3 * value : 3 * value + 3]).hex()
            assert colour == classes[value]["colour"]


def test_no_drawing_and_no_family_is_in_two_groups(coco: dict[str, Any]) -> None:
    sources = [row for row in rows_of("SOURCES.csv") if row["class"] != "ground"]
    group_of = {row["path"]: row["group"] for row in sources}
    assert len({row["sha256"] for row in sources}) == len(sources) == len(group_of)
    family_of = {thing.source: (thing.label, thing.family) for thing in read_things()}
    groups_of_family = defaultdict(set)
    for path, group in group_of.items():
        groups_of_family[family_of[path]].add(group)
    assert {len(groups) for groups in groups_of_family.values()} == {1}
    assert {annotation["cutout"] for annotation in coco["annotations"]} == set(group_of)
    label_of = {row["path"]: row["class"] for row in sources}
    group_of_image = {image["id"]: image["group"] for image in coco["images"]}
    for annotation in coco["annotations"]:
        assert group_of[annotation["cutout"]] == group_of_image[annotation["image_id"]]
        assert VALUES[label_of[annotation["cutout"]]] == annotation["category_id"]


def test_classes_are_in_many_groups_and_groups_show_several_classes(coco: dict[str, Any]) -> None:
    drawings = Counter(row["class"] for row in rows_of("SOURCES.csv") if row["group"])
    assert set(drawings) == set(CLASSES)
    assert min(drawings.values()) >= 30
    group_of_image = {image["id"]: image["group"] for image in coco["images"]}
    met = {(group_of_image[row["image_id"]], row["category_id"]) for row in coco["annotations"]}
    assert set(Counter(group for group, _ in met)) == {f"pool{i:02d}" for i in range(NUM_POOLS)}
    assert min(Counter(group for group, _ in met).values()) >= 4
    assert min(Counter(value for _, value in met).values()) >= 20
    assert set(Counter(group_of_image.values()).values()) == {SCENES_PER_POOL}
    things = Counter(row["image_id"] for row in coco["annotations"])
    times = Counter(things[image["id"]] for image in coco["images"])
    filled = (NUM_POOLS * SCENES_PER_POOL - NUM_EMPTY) // (MAX_COUNT - 1)
    assert times == {0: NUM_EMPTY} | dict.fromkeys(range(2, MAX_COUNT + 1), filled)


def test_all_that_is_shown_is_free_and_says_so(coco: dict[str, Any]) -> None:
    sources = rows_of("SOURCES.csv")
    assert {row["licence"] for row in sources} == FREE
    assert {row["licence"] for row in sources if row["class"] != "ground"} == {"public domain"}
    names = {licence["id"]: licence["name"] for licence in coco["licenses"]}
    assert set(names.values()) == FREE
    licence_of = {row["path"]: row["licence"] for row in sources if row["class"] == "ground"}
    for image in coco["images"]:
        assert names[image["license"]] == licence_of.get(image["ground"], "public domain")
    packages = {(package.name, package.version) for package in (DRAWINGS, PAPERS, SURFACES)}
    assert {(row["package"], row["version"]) for row in sources} == packages


def test_the_numbers_of_the_readme(coco: dict[str, Any], masks: dict[int, np.ndarray]) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    pixels, annotations = np.stack(list(masks.values())), coco["annotations"]
    drawings = Counter(row["class"] for row in rows_of("SOURCES.csv"))
    pools = Counter((row["group"], row["class"]) for row in rows_of("SOURCES.csv") if row["group"])
    for name, value in VALUES.items():
        own = [row for row in annotations if row["category_id"] == value]
        pictures = len({row["image_id"] for row in own})
        share = 100 * (pixels == value).mean()
        sizes = " / ".join(str(number) for number in sizes_of(own))
        groups = sum(label == name for _, label in pools)
        cells = (name, drawings[name], len(own), pictures, f"{share:.2f} %", sizes, groups)
        assert f"| `{cells[0]}` | {' | '.join(map(str, cells[1:]))} |" in text
    all_sizes = " / ".join(str(number) for number in sizes_of(annotations))
    visible = np.array([row["visible"] for row in annotations])
    cutouts = [[row["cutout"] for row in rows] for rows in by_image(coco).values()]
    single = Counter(name for (_, name), number in pools.items() if number == 1)
    for statement in (
        f"{len(pixels)} composed scenes",
        f"{len(annotations):,} things",
        f"| all | {pools.total()} | {len(annotations):,} | {len(cutouts)} | "
        f"{100 * ((pixels > 0) & (pixels < IGNORED)).mean():.2f} % | {all_sizes} | {NUM_POOLS} |",
        f"{100 * (pixels == 0).mean():.1f} % of all pixels are background",
        f"{100 * (pixels == IGNORED).mean():.2f} % are ignored",
        f"{100 * (visible == 1).mean():.0f} % of the things are wholly visible",
        f"{100 * (visible < 0.7).mean():.0f} % less than 70 %",
        f"the mean is {100 * visible.mean():.0f} %, the least {100 * visible.min():.0f} %",
        f"{sum(len(set(names)) < len(names) for names in cutouts)} scenes show a drawing twice",
        f"`vehicle` {single['vehicle']} pools have a single one, of `fruit` {single['fruit']}",
        f"{num_also_in('tags')} of the drawings are also in `data/tags`",
        f"{num_also_in('counts')} in `data/counts`",
    ):
        assert statement in " ".join(text.split())


def num_also_in(name: str) -> int:
    with (DATA / name / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
        others = {value for row in csv.DictReader(file) for value in row.values()}
    return sum(
        not others.isdisjoint((row["path"], row["sha256"])) for row in rows_of("SOURCES.csv")
    )


def sizes_of(annotations: list[dict[str, Any]]) -> list[int]:
    """How many are small, medium and large, by COCO's bounds of 32² and 96² pixels."""
    areas = np.array([row["area"] for row in annotations])
    return [int(n) for n in np.bincount(np.digitize(areas, [32**2, 96**2]), minlength=3)]


needs_packages = pytest.mark.skipif(
    not all((ROOT / p.folder).is_dir() for p in (DRAWINGS, KEYWORDS, PAPERS, SURFACES)),
    reason="needs the Debian packages that the scenes are made from",
)


@needs_packages
def test_the_packages_give_the_committed_bytes() -> None:
    pictures, keywords = ROOT / DRAWINGS.folder, ROOT / KEYWORDS.folder
    first, *_ = deal(read_things(), NUM_POOLS)
    made = scenes([open_pieces(first, pictures, keywords)], read_textures(ROOT))
    listed = read_sums(FOLDER)
    for (number, group, _, scene), _ in zip(made, range(3), strict=False):
        assert group == "pool00"
        assert listed[f"pictures/{number:03d}.jpg"] == sha256_bytes(as_jpeg(scene.picture, QUALITY))
        assert listed[f"masks/{number:03d}.png"] == sha256_bytes(mask_png(scene.mask))


@needs_packages
def test_debian_names_every_texture_as_free() -> None:
    """The paragraphs of ``debian/copyright`` that name the files end on the table's licence."""
    for package, prefix, licence in (
        (SURFACES, "base/", "public-domain"),
        (PAPERS, "backgrounds/", "CC0-1.0"),
    ):
        copyright_file = ROOT / "usr/share/doc" / package.name / "copyright"
        paragraphs = copyright_file.read_text(encoding="utf-8").split("\n\n")
        free = [p for p in paragraphs if p.lstrip().startswith("Files:")
                and f"\nLicense: {licence}" in p]  # fmt: skip
        named = {word for paragraph in free for word in paragraph.split()}
        for row in rows_of("SOURCES.csv"):
            if row["package"] == package.name:
                path = prefix + row["path"]
                assert path in named or f"{path.rsplit('/', 1)[0]}/*" in named
