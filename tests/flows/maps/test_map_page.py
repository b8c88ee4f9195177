"""Maps for people: what records say is shown as it is, and does nothing; nobody else is asked."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from PIL import Image

from encoders.thumbnail import thumbnail
from flows.maps import page as map_page
from flows.maps import sounds as map_sounds
from flows.maps.colours import FAINT, MOST, Categories, Numbers, colours
from flows.maps.drawing import Asked, Map, draw
from flows.maps.page import page
from flows.maps.picture import headings, picture
from flows.maps.sounds import sounds
from flows.output.progress import Silent
from storage.model import Version
from tests.flows.project import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.flows.project import Project

EVIL = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title=1\">"
N = 30


def version() -> Version:
    return Version(
        feature="notes", version=1, fingerprint="f", recipe={}, kind="lsa", params={},
        modality="text", metric="cosine", dim=2, state=None, types={}, standing="live",
    )  # fmt: skip


def drawing(**columns: Sequence[object]) -> Map:
    n = len(next(iter(columns.values()), range(N)))
    given = {"record_id": [f"record-{i}" for i in range(n)]} | columns
    places = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return Map(
        version(), "tsne", pa.table(given), places, total=n, left_out=0, kept=0, added=0,
        laid_out="2026-01-31T12:00:00+00:00", trust=0.9, neighbours=10,
    )  # fmt: skip


def shaded(found: Map, column: str | None = None) -> Categories | Numbers:
    values = None if column is None else found.rows[column]
    return colours(column, values, len(found.places))


class Page(HTMLParser):
    """The elements of a page, and what its scripts and texts say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = []

    def handle_data(self, data: str) -> None:
        self._inside.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.texts.append((tag, "".join(self._inside)))
        self._inside = []

    @property
    def scripts(self) -> list[str]:
        return [text for tag, text in self.texts if tag == "script"]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    @property
    def policy(self) -> str:
        metas = [attributes for tag, attributes in self.tags if tag == "meta"]
        policies = [meta["content"] for meta in metas if "http-equiv" in meta]
        [policy] = policies
        return str(policy)


def floats(text: str) -> list[float]:
    return [float(x) for x in np.frombuffer(b64decode(text), "<f4")]


def test_what_records_say_is_data_and_nothing_else(project: Project) -> None:
    rows = [
        (f"{EVIL}{k}", f"text {k}", EVIL if k % 2 else "plain & <b>bold</b>") for k in range(12)
    ]
    project.write(rows, HEADER)
    project.run()
    found = draw(project.settings(), "notes", Asked("pca"), Silent())
    text = page(found, shaded(found, "label"))
    shown = Page(text)
    assert sum(tag == "script" for tag, _ in shown.tags) == 3
    assert not any(tag in {"img", "iframe", "link", "object", "base"} for tag, _ in shown.tags)
    data = shown.data
    assert sorted(data["ids"]) == sorted(row[0] for row in rows)
    assert data["columns"] == ["event_time", "label"]
    assert set(data["values"][1]) == {EVIL, "plain & <b>bold</b>"}
    names = {category["name"] for category in data["categories"]}
    assert names == {f"{EVIL[:60]}…", "plain & <b>bold</b>"}
    assert EVIL not in text
    assert "<script>document" not in text


def test_a_page_asks_nobody_and_lets_no_other_script_run() -> None:
    found = drawing(label=["a", "b"] * 15)
    shown = Page(page(found, shaded(found, "label")))
    for _, attributes in shown.tags:
        assert not {"src", "href", "srcset", "data", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = shown.policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert "http" not in policy
    digests = [b64decode(d) for d in re.findall(r"'sha256-([^']*)'", policy)]
    assert digests == [sha256(script.encode()).digest() for script in shown.scripts[1:]]
    style = [text for tag, text in shown.texts if tag == "style"]
    assert not re.search(r"url\(|@import", "".join(style))


def test_the_data_of_a_page_are_the_map() -> None:
    found = drawing(label=["b", "a", None] * 10, note=["long " * 100] * N)
    data = Page(page(found, shaded(found, "label"))).data
    assert floats(data["x"]) == found.places[:, 0].tolist()
    assert floats(data["y"]) == found.places[:, 1].tolist()
    assert list(b64decode(data["codes"])) == [1, 0, 2] * 10
    assert [(c["name"], c["count"], c["behind"]) for c in data["categories"]] == [
        ("a", 10, False), ("b", 10, False), ("no value", 10, True),
    ]  # fmt: skip
    assert data["values"][0] == ["b", "a", None] * 10
    assert data["values"][1][0] == ("long " * 100)[:300] + "…"
    assert data["thumbs"] is None
    assert "sounds" not in data


def test_numbers_are_a_scale() -> None:
    found = drawing(score=[float(i) for i in range(N - 1)] + [None])
    data = Page(page(found, shaded(found, "score"))).data
    values = floats(data["numbers"])
    assert values[:3] == [0, 1, 2]
    assert np.isnan(values[-1])
    assert data["low"] < data["high"]
    assert all(data["low"] <= at <= data["high"] for at, _ in data["ticks"])
    assert data["shades"][0] == "#440154"


def test_what_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    file = thumbnail(Image.new("RGB", (32, 32), "red"), 32)
    monkeypatch.setattr(map_page, "_THUMBNAILS", 10 * len(file) + 1)
    monkeypatch.setattr(map_page, "_TEXTS", 50 * N * 12)
    many = {f"c{i}": ["y" * 70] * N for i in range(14)}
    found = drawing(**many, thumbnail=[file] * N)
    shown = Page(page(found, shaded(found)))
    data = shown.data
    assert data["columns"] == [f"c{i}" for i in range(12)]
    assert data["values"][0][0] == "y" * 50 + "…"
    assert sum(thumb is not None for thumb in data["thumbs"]) == 10
    assert b64decode(data["thumbs"][0]) == file
    footer = next(text for tag, text in shown.texts if tag == "footer")
    assert "Columns left out: c12, c13." in footer
    assert "Texts are cut at 50 characters." in footer
    assert "Thumbnails of 10 of 30 records are in the page." in footer


def test_a_thumbnail_column_of_words_is_no_picture() -> None:
    found = drawing(thumbnail=[b"<svg onload=alert(1)>"] * N)
    assert set(Page(page(found, shaded(found))).data["thumbs"]) == {None}


@pytest.fixture
def recordings(project: Project) -> Project:
    folder = project.root / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(12):
        samples = rng.normal(0, 0.1, 4000 if k else 200_000).astype(np.float32)
        soundfile.write(folder / f"{k}.wav", samples, 16_000)
    project.source = {"kind": "files", "path": "sounds/*.wav"}
    project.encoder = {"kind": "mfcc"}
    project.run()
    return project


def test_small_recordings_are_in_the_page_and_large_ones_are_linked(recordings: Project) -> None:
    found = draw(recordings.settings(), "notes", Asked("pca"), Silent())
    heard = sounds(recordings.settings(), found.version, found.rows)
    assert heard is not None
    shown = Page(page(found, shaded(found), heard))
    data = shown.data
    by_id = dict(zip(data["ids"], data["sound"], strict=True))
    source, part = by_id["3.wav"]
    assert part == ""
    kind, _, encoded = data["sounds"][source].partition(",")
    assert kind == "data:audio/wav;base64"
    assert b64decode(encoded) == (recordings.root / "sounds" / "3.wav").read_bytes()
    linked = data["sounds"][by_id["0.wav"][0]]
    assert linked == (recordings.root / "sounds" / "0.wav").resolve().as_uri()
    footer = next(text for tag, text in shown.texts if tag == "footer")
    assert "1 of 12 recordings are not in the page" in footer
    assert "media-src data: file:" in shown.policy


def test_recordings_take_no_more_room_than_they_may(
    recordings: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_sounds, "_ALL", 20_000)
    found = draw(recordings.settings(), "notes", Asked("pca"), Silent())
    heard = sounds(recordings.settings(), found.version, found.rows)
    assert heard is not None
    assert [source[:5] for source in heard.sources].count("data:") == 2
    assert len(heard.of) == 12
    (recordings.root / "sounds" / "5.wav").unlink()
    again = sounds(recordings.settings(), found.version, found.rows)
    assert again is not None
    assert again.of.count(None) == 1


def test_a_path_that_a_record_names_is_no_recording(project: Project) -> None:
    (project.root / "secret.wav").write_bytes(b"RIFF")
    project.source = {"keep": ["path"]}
    project.write([(f"r{k}", f"text {k}", "secret.wav") for k in range(12)], ("id", "text", "path"))
    project.run()
    found = draw(project.settings(), "notes", Asked("pca"), Silent())
    assert sounds(project.settings(), found.version, found.rows) is None


# --- colours --------------------------------------------------------------------------------------


def of(values: Sequence[object]) -> Categories | Numbers:
    return colours("column", pa.chunked_array([pa.array(values)]), len(values))


def test_the_most_frequent_categories_have_a_colour_and_the_others_share_one() -> None:
    values = [f"c{i:02}" for i in range(15) for _ in range(20 - i)] + [None, ""]
    found = of(values)
    assert isinstance(found, Categories)
    assert [c.name for c in found.categories] == [
        *(f"c{i:02}" for i in range(MOST)), "other (5 more)", "no value",
    ]  # fmt: skip
    assert [c.count for c in found.categories] == [*range(20, 10, -1), 10 + 9 + 8 + 7 + 6, 2]
    assert len({c.colour for c in found.categories}) == MOST + 1
    assert [c.colour for c in found.categories if c.behind] == [FAINT, FAINT]
    named = [found.categories[code].name for code in found.codes]
    assert named[:20] == ["c00"] * 20
    assert named[-3:] == ["other (5 more)", "no value", "no value"]
    assert found.folded == 5


def test_a_category_keeps_its_colour_while_counts_change() -> None:
    first, second = of(["a"] * 3 + ["b"] * 2), of(["a"] * 3 + ["b"] * 9)
    assert isinstance(first, Categories)
    assert isinstance(second, Categories)
    assert [(c.name, c.colour) for c in first.categories] == [
        (c.name, c.colour) for c in second.categories
    ]


@pytest.mark.parametrize("values", [[10, 9, 2] * 5, ["10", "9", "2"] * 5, [True, False] * 9])
def test_a_few_values_are_categories_in_their_order(values: list[object]) -> None:
    found = of(values)
    assert isinstance(found, Categories)
    names = [category.name for category in found.categories]
    assert names in (["2", "9", "10"], ["False", "True"])


def test_lists_and_what_has_no_value_are_categories() -> None:
    found = of([["a", "b"], ["a"], None, ["a"]])
    assert isinstance(found, Categories)
    assert [c.name for c in found.categories] == ["['a', 'b']", "['a']", "no value"]
    nothing = colours("at", pa.chunked_array([pa.nulls(5, pa.timestamp("us"))]), 5)
    assert isinstance(nothing, Categories)
    assert [(c.name, c.count) for c in nothing.categories] == [("no value", 5)]


def test_far_out_numbers_do_not_stretch_the_scale() -> None:
    found = of([*range(1000), 10**9, None])
    assert isinstance(found, Numbers)
    assert found.high < 1001
    assert found.beyond == (True, True)
    assert np.isnan(found.values[-1])
    assert [text for _, text in found.ticks] == ["200", "400", "600", "800"]


def test_times_are_a_scale_of_days() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = of([start + timedelta(days=i) for i in range(60)])
    assert isinstance(found, Numbers)
    assert re.fullmatch(r"2026-0\d-\d\d", found.ticks[0][1])
    assert found.values[0] == start.timestamp()
    hours = of([start + timedelta(minutes=i) for i in range(60)])
    assert isinstance(hours, Numbers)
    assert hours.ticks[0][1].startswith("01-01 00:0")


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [None, "label", "score"])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_drawn_whatever_stands_in_it(
    tmp_path: Path, column: str | None, ending: str
) -> None:
    labels = [f"$\\frac{{{i % 12}$ \x1b 語 {EVIL}" for i in range(N)]
    found = drawing(label=labels, score=[None, *np.random.default_rng(0).normal(size=N - 1)])
    file = tmp_path / f"map.{ending}"
    picture(found, shaded(found, column), file)
    if ending == "png":
        image = Image.open(io.BytesIO(file.read_bytes())).convert("RGB")
        assert min(image.size) > 1000
        assert len(set(image.resize((200, 200)).get_flattened_data())) > 20
    else:
        assert b"<script>" not in file.read_bytes()


def test_a_heading_says_what_is_shown() -> None:
    found = drawing(label=["a"] * N)
    assert headings(found, "label") == (
        "notes v1",
        "t-SNE · 30 records · trustworthiness 0.900 (k = 10) · laid out 2026-01-31 · by label",
    )


# --- in a browser ---------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_draws_it_and_runs_nothing_of_the_records(tmp_path: Path) -> None:
    found = drawing(record_id=[f"{EVIL}{i}" for i in range(N)], label=[EVIL, "b", None] * 10)
    file = tmp_path / "map.html"
    file.write_text(page(found, shaded(found, "label")), encoding="utf-8")
    assert CHROMIUM is not None
    done = subprocess.run(  # noqa: S603 - a browser, and our own page
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'home'}", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader", "--virtual-time-budget=10000", "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    shown = Page(done.stdout)
    [plot] = [a for tag, a in shown.tags if a.get("id") == "plot"]
    assert plot["data-drawn"]
    assert ("title", "notes v1: map") in shown.texts
    assert sum(a.get("class") == "category" for _, a in shown.tags) == 3
