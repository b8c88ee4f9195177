"""Small copies of images beside their vectors: made once, kept by all that a table goes through."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageColor

from encoders.thumbnail import thumbnail
from flows.cli import main
from flows.config.settings import SettingsError
from flows.output import console
from flows.searching.search import search
from flows.searching.sheet import sheet
from flows.sources.base import SourceUsageError
from storage import query
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

COLOURS = ("red", "lime", "blue", "white", "black", "orange")


def paint(path: Path, colour: str, size: tuple[int, int] = (120, 60)) -> None:
    """A picture of one colour with a corner of noise, so that no two are alike."""
    image = Image.new("RGB", size, colour)
    noise = np.random.default_rng(len(path.stem)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image.paste(Image.fromarray(noise), (0, 0))
    image.save(path)


@pytest.fixture
def pictures(project: Project) -> Project:
    (project.root / "pictures").mkdir()
    for number, colour in enumerate(COLOURS):
        paint(project.root / "pictures" / f"{number}.png", colour)
    project.source = {"kind": "files", "path": "pictures/*.png", "pattern": "{n}.png"}
    project.encoder = {"kind": "vision", "centroids": 8, "size": 16}
    project.feature = {"thumbnails": 48}
    return project


def opened(data: object) -> Image.Image:
    assert isinstance(data, bytes)
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    return image.convert("RGB")


def shown(project: Project) -> dict[str, str | None]:
    """The colour of each thumbnail, by its name; WebP blurs it a little."""
    named = {name: np.array(ImageColor.getrgb(name)) for name in COLOURS}
    found: dict[str, str | None] = {}
    for record_id, row in project.rows().items():
        if row[THUMBNAIL] is None:
            found[record_id] = None
            continue
        middle = np.asarray(opened(row[THUMBNAIL])).astype(int)[12, 30]
        away = {name: int(np.abs(middle - colour).max()) for name, colour in named.items()}
        found[record_id] = min(away, key=lambda name: away[name])
        assert min(away.values()) < 8
    return found


PAINTED = {f"{number}.png": colour for number, colour in enumerate(COLOURS)}


@pytest.mark.parametrize(
    ("size", "small"),
    [((480, 240), (96, 48)), ((30, 900), (3, 96)), ((5000, 7), (96, 1)), ((20, 12), (20, 12))],
)
def test_a_thumbnail_keeps_its_shape_and_is_never_enlarged(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, "orange")
    found = opened(thumbnail(image, 96))
    assert (found.size, image.size) == (small, size)
    flat = np.broadcast_to(ImageColor.getrgb("orange"), (*small[::-1], 3))
    np.testing.assert_allclose(np.asarray(found), flat, atol=6)


def test_each_image_has_its_own_as_the_last_column(pictures: Project) -> None:
    pictures.run()
    rows = pictures.rows()
    assert [*rows["0.png"]] == [*SYSTEM_COLUMNS, "n", "path", THUMBNAIL]
    assert {opened(row[THUMBNAIL]).size for row in rows.values()} == {(48, 24)}
    assert shown(pictures) == PAINTED
    assert pictures.run().counts.unchanged == 6


def test_without_the_option_there_is_no_column(pictures: Project) -> None:
    pictures.feature = {}
    pictures.run()
    assert THUMBNAIL not in pictures.rows()["0.png"]


def test_copies_moves_and_changes_have_the_right_ones(pictures: Project) -> None:
    folder = pictures.root / "pictures"
    (folder / "copy.png").write_bytes((folder / "1.png").read_bytes())
    assert pictures.run().counts.deduplicated == 1
    before = pictures.rows()
    assert before["copy.png"][THUMBNAIL] == before["1.png"][THUMBNAIL]
    (folder / "0.png").rename(folder / "moved.png")
    (folder / "later.png").write_bytes((folder / "2.png").read_bytes())
    paint(folder / "3.png", "lime", (60, 120))
    counts = pictures.run().counts
    assert (counts.new, counts.changed, counts.deleted, counts.encoded) == (2, 1, 1, 1)
    after = pictures.rows()
    assert after["moved.png"][THUMBNAIL] == before["0.png"][THUMBNAIL]
    assert after["later.png"][THUMBNAIL] == before["2.png"][THUMBNAIL]
    assert opened(after["3.png"][THUMBNAIL]).size == (24, 48)
    assert after["4.png"] == before["4.png"]


def test_an_updated_record_keeps_its_own(pictures: Project) -> None:
    pictures.run()
    before = pictures.rows()
    pictures.source |= {"pattern": "{m}.png"}
    counts = pictures.run().counts
    assert (counts.updated, counts.encoded) == (6, 0)
    after = pictures.rows()
    assert [*after["0.png"]] == [*SYSTEM_COLUMNS, "m", "path", THUMBNAIL]
    assert {k: v[THUMBNAIL] for k, v in after.items()} == {
        k: v[THUMBNAIL] for k, v in before.items()
    }


@pytest.mark.parametrize("point", ["shard", "encode", "commit"])
def test_a_run_that_broke_off_loses_none(pictures: Project, point: str) -> None:
    pictures.engine = {"shard_size": 2}
    with pytest.raises(Interruption):
        pictures.run(Stopping(point=point))
    pictures.run()
    assert shown(pictures) == PAINTED


def test_switched_on_later_images_get_one_when_they_are_encoded(pictures: Project) -> None:
    pictures.feature = {}
    pictures.run()
    vectors = {k: v["vector"] for k, v in pictures.rows().items()}
    pictures.feature = {"thumbnails": 48}
    paint(pictures.root / "pictures" / "5.png", "blue", (124, 62))
    counts = pictures.run().counts
    assert (counts.encoded, counts.changed, counts.updated) == (1, 1, 5)
    assert shown(pictures) == {
        **dict.fromkeys(f"{n}.png" for n in range(5)),
        "5.png": "blue",
    }
    assert {k: v["vector"] for k, v in pictures.rows().items() if k != "5.png"} == {
        k: v for k, v in vectors.items() if k != "5.png"
    }
    pictures.feature = {}
    assert pictures.run().counts.encoded == 0
    assert THUMBNAIL not in pictures.rows()["5.png"]


def test_switched_off_the_next_run_drops_them_though_nothing_else_changed(
    pictures: Project,
) -> None:
    pictures.run()
    pictures.feature = {}
    counts = pictures.run().counts
    assert (counts.updated, counts.encoded) == (6, 0)
    assert THUMBNAIL not in pictures.rows()["0.png"]
    assert pictures.run().counts.unchanged == 6


def test_a_dead_image_has_none_and_harms_none(pictures: Project) -> None:
    (pictures.root / "pictures" / "2.png").write_bytes(b"no image")
    outcome = pictures.run()
    assert (outcome.counts.dead, outcome.rows) == (1, 5)
    assert shown(pictures) == {k: v for k, v in PAINTED.items() if k != "2.png"}


@pytest.mark.parametrize("side", [8, 1000, -3])
def test_sizes_out_of_range_are_refused(pictures: Project, side: int) -> None:
    pictures.feature = {"thumbnails": side}
    with pytest.raises(SettingsError, match=rf"longer side in pixels, 16 to 512.*got {side}"):
        pictures.settings()


def test_only_images_have_thumbnails(project: Project) -> None:
    project.feature = {"thumbnails": 48}
    with pytest.raises(SettingsError, match=r"asks for thumbnails, which only images have.*text"):
        project.settings()


def test_a_kept_column_may_not_be_called_so(pictures: Project) -> None:
    pictures.source |= {"pattern": "{thumbnail}.png"}
    with pytest.raises(SourceUsageError, match="keeps a column 'thumbnail'"):
        pictures.run()
    pictures.feature = {}
    pictures.run()
    assert pictures.rows()["3.png"][THUMBNAIL] == "3"


def test_sql_tells_of_bytes_and_does_not_pour_them_out(
    pictures: Project, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    pictures.run()
    sql = "SELECT record_id, thumbnail FROM notes ORDER BY record_id"
    with pictures.connect() as con:
        table = query.as_table(query.run(con, sql), 120)
        assert len(re.findall(r"<\d+\.\d kB webp>", table)) == 6
        query.export(query.run(con, sql), "csv", None)
        line = capfdbinary.readouterr().out.decode().splitlines()[1]
    assert opened(b64decode(line.partition(",")[2])).size == (48, 24)


def test_a_search_shows_and_hands_on_thumbnails(
    pictures: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures.run()
    found = search(pictures.settings(), "notes", "id", "0.png", 2)
    assert opened(found[THUMBNAIL][0].as_py()).size == (48, 24)
    assert re.fullmatch(r"<(\d+ bytes|\d\.\d kB) webp>", console.cell(found[THUMBNAIL][0].as_py()))
    conf = ["--conf", str(pictures.root / "vecmill.toml")]
    file = str(pictures.root / "pictures" / "4.png")
    page = pictures.root / "found.html"
    asked = ["search", "notes", "--image", file, "-k", "3", "--json", "--sheet", str(page)]
    assert run_command([*asked, *conf]) == 0
    assert capfd.readouterr().out.count("\n") == 3
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.words[:3] == ["notes: 3 nearest", "notes: 3 nearest", "by image: 4.png"]
    assert "4.png" in parsed.words[3:]
    assert [image.size for image in parsed.images] == [(120, 60), *[(48, 24)] * 3]
    assert run_command([*asked[:-1], str(pictures.root / "nowhere" / "x.html"), *conf]) == 2
    assert "cannot write the sheet" in capfd.readouterr().err


def run_command(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


class Page(HTMLParser):
    """What a browser would show of a page: its words and its pictures, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.images: list[Image.Image] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "src":
                kind, _, data = str(value).partition(",")
                assert kind == "data:image/webp;base64"
                self.images.append(opened(b64decode(data)))

    def handle_data(self, data: str) -> None:
        if data.strip() and self.tags[-1] != "style":
            self.words.append(data.strip())


def test_a_sheet_of_anything_is_escaped_and_asks_nobody() -> None:
    hostile = "</dd><script src='https://evil.example/x.js'></script>"
    found = pa.table(
        {
            "record_id": ["a", hostile],
            "distance": [0.0, 0.25],
            "content_hash": ["h1", "h2"],
            "title": [hostile, "x" * 5000],
            "price": [3.5, None],
            THUMBNAIL: pa.array([None, b"no picture"], pa.binary()),
        }
    )
    text = sheet("news", "text", hostile, found)
    page = Page(text)
    assert set(page.tags) == {
        "html", "head", "meta", "title", "style", "body", "header", "div", "h1", "p", "ol", "li",
        "h2", "dl", "dt", "dd",
    }  # fmt: skip
    assert page.words.count(hostile) == 2
    assert f"by text: {hostile}" in page.words
    assert {"a", "distance 0.25", "price", "3.5"} < set(page.words)
    assert "h1" not in page.words
    assert max(map(len, page.words)) < 500
    assert page.images == []
    assert "default-src 'none'" in text
