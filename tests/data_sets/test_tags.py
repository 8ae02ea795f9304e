"""Keywords come out of the metadata as an XML parser finds them; labels follow the stated rules."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from data.make.drawings import on_white, shrink, spread
from data.make.keywords import ABOVE, SAME, is_public_domain, is_whole, keywords_of, labels_of
from data.make.tags import LABELS, choose, union

SVG = """<svg xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:xlink="xlink"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://web.resource.org/cc/">
<dc:title>Fish</dc:title><dc:subject><rdf:Bag><rdf:li>Fish </rdf:li><rdf:li>cat &amp; dog</rdf:li>
<rdf:li></rdf:li><rdf:li
>sea</rdf:li></rdf:Bag></dc:subject><rdf:li>no keyword</rdf:li>
<cc:license rdf:resource="http://web.resource.org/cc/PublicDomain"/>%s</svg>"""


def test_keywords_are_those_of_an_xml_parser() -> None:
    spaces = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
              "dc": "http://purl.org/dc/elements/1.1/"}  # fmt: skip
    items = ElementTree.fromstring(SVG % "").findall("dc:subject//rdf:li", spaces)
    expected = {(item.text or "").strip().lower() for item in items} - {""}
    assert keywords_of(SVG % "") == expected == {"fish", "cat & dog", "sea"}


def test_a_drawing_without_metadata_has_no_keywords_and_no_licence() -> None:
    assert keywords_of("<svg/>") == set()
    assert not is_public_domain("<svg/>")
    assert is_public_domain(SVG % "")
    assert not is_public_domain((SVG % "").replace("cc/PublicDomain", "cc/Attribution"))


@pytest.mark.parametrize(
    ("picture", "is_there"),
    [
        ("", True),
        ('<image xlink:href="data:image/png;base64,AA"/>', True),
        ('<image width="3"\n xlink:href="photo.jpg"/>', False),
        ("<svg:image xlink:href = 'file:///a.png'/>", False),
        ('<use xlink:href="#a"/>', True),
    ],
)
def test_a_drawing_that_needs_another_file_is_not_whole(picture: str, is_there: bool) -> None:
    assert is_whole(SVG % picture) is is_there


def test_forms_merge_and_what_is_meant_is_added() -> None:
    assert labels_of({"mammals", "tools", "hash"}, LABELS) == {"mammal", "animal", "tool"}
    assert labels_of({"hash"}, LABELS) == set()
    assert {*SAME.values(), *ABOVE, *ABOVE.values()} <= set(LABELS)


def test_all_of_several_labels_and_few_of_a_single_one_are_chosen() -> None:
    labels = {f"a{i}": {"food"} for i in range(9)} | {f"b{i}": {"toy", "food"} for i in range(5)}
    labels |= {"c": {"toy"}, "double": {"sports"}}
    sources = {f"{i:02d}": [name] for i, name in enumerate(sorted(labels)) if name != "double"}
    sources["00"].append("double")  # lies at a0, too, and so has two labels
    chosen = choose(sources, labels, max_alone=3)
    names = [name for digest in chosen for name in chosen[digest]]
    assert names == ["a0", "double", "a1", "a2", "a3", *(f"b{i}" for i in range(5)), "c"]
    assert union(labels, chosen["00"]) == {"food", "sports"}


def test_transparent_drawings_come_on_white_and_are_cut_to_the_ink() -> None:
    pixels = np.zeros((20, 30, 4), dtype=np.uint8)
    pixels[5:9, 10:25] = (200, 0, 100, 255)
    pixels[6, 12] = (0, 0, 0, 51)
    picture = np.asarray(on_white(Image.fromarray(pixels)))
    assert picture.shape == (4, 15, 3)
    assert picture[0, 0].tolist() == [200, 0, 100]
    assert picture[1, 2].tolist() == [204, 204, 204]  # 255 · (1 − 51 / 255)


def test_a_blank_sheet_stays_whole_and_has_no_spread() -> None:
    blank = on_white(Image.new("RGBA", (7, 5)))
    assert blank.size == (7, 5)
    assert spread(blank) == 0


@pytest.mark.parametrize(("size", "small"), [((400, 100), (128, 32)), ((1, 900), (1, 128)),
                                             ((50, 60), (50, 60))])  # fmt: skip
def test_the_longer_side_is_shrunk_and_never_grows(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    assert shrink(Image.new("RGB", size), 128).size == small
