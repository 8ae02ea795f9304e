"""The page of a run: whole, safe, and with its numbers."""

import base64
from html.parser import HTMLParser
from pathlib import Path

from sftcore.reporting.page import Article, Chapter, render_page
from sftcore.reporting.parts import Figure, Part, Table

HOSTILE = "<b>x</b>"


class Tags(HTMLParser):
    """Tags, links, and the text of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: dict[str, str] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "a" and found.get("download"):
            self.links[str(found["download"])] = str(found["href"])

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def chapter(folder: Path, num_rows: int = 3) -> Chapter:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.png").write_bytes(b"png")
    lines = "".join(f"{HOSTILE},{row}.123456,none\n" for row in range(num_rows))
    (folder / "a.csv").write_text(f"name,value,row\n{lines}")
    table = Table("a.csv", "a row is a row", {"row": "row", "value": "value", "name": HOSTILE}, 2,
                  {"none": "your recipe"})  # fmt: skip
    parts = [
        Part(HOSTILE, (HOSTILE,), (Figure("a.png", HOSTILE, "a.csv"),), (table,)),
        Part("Folded", is_folded=True),
    ]
    return Chapter("First", folder, parts)


def article(**changes: object) -> Article:
    return Article(HOSTILE, "Why?", [HOSTILE, "Second."], **changes)  # type: ignore[arg-type]


def test_every_text_is_escaped_and_every_number_is_there(tmp_path: Path) -> None:
    page = render_page(article(), [chapter(tmp_path)])
    found = read(page)
    assert "b" not in found.tags
    assert found.text.count(HOSTILE) >= 7
    assert "script" not in found.tags
    assert "http" not in page.replace("http-equiv", "")
    link = found.links["a.csv"]
    assert base64.b64decode(link.partition(",")[2]).decode().startswith("name,value,row\n")
    assert "your recipe" in found.text
    assert "1.12" in found.text
    assert "2.12" not in found.text  # only two rows are shown
    assert "All 3 rows (CSV)" in found.text
    assert found.tags.count("details") == 1


def test_a_large_table_stays_beside_the_page(tmp_path: Path) -> None:
    big = chapter(tmp_path / "stage", num_rows=20_000)
    found = read(render_page(article(), [big]))
    assert found.links["a.csv"] == "stage/a.csv"


def test_a_stage_without_parts_has_no_chapter_and_a_first_figure_stands_on_top(
    tmp_path: Path,
) -> None:
    one = chapter(tmp_path)
    first = article(figure=Figure("a.png", "the answer"), chapter="First")
    page = render_page(first, [one, Chapter("Second", tmp_path, [])])
    assert "Second</h2>" not in page
    assert page.index("the answer") < page.index("First</h2>")
