"""The page of a report: sound HTML, readable by all, and nothing that records say does anything."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

import flows.reports.page
from flows.monitors.base import Part
from flows.output.progress import Silent
from flows.reports import gallery
from flows.reports.gather import collect
from flows.reports.index import index
from flows.reports.page import page
from flows.reports.short import markdown
from tests.flows.pipeline.test_thumbnails import COLOURS, paint
from tests.flows.reports.reporting import finding, ran, records

if TYPE_CHECKING:
    from flows.reports.model import Report
    from tests.flows.project import Project

EVIL = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title=1\">'"
HEBREW, TURNED = "שלום עולם", "abc\u202etxt.exe"
VOID = {"br", "img", "input", "meta"}


class Page(HTMLParser):
    """The elements of a page, each with the path to it; fails where one is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.paths: list[tuple[str, ...]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        self.paths.append(tuple(self._open))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"{tag} is closed out of order"

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture
def report(project: Project) -> Report:
    """A report with a part of every kind, and hostile words wherever records have a say."""
    project.feature = {"monitors": ["drift", "health"]}
    project.source = {"keep": ["label", "text"]}
    first = ran(project, *records(0, 30), *((f"{EVIL}{k}", EVIL, EVIL) for k in range(3)))
    last = ran(project, *records(0, 60), (HEBREW, HEBREW, TURNED),
               *((f"{EVIL}{k}", EVIL, EVIL) for k in range(3)))  # fmt: skip
    shares = {"share_reference": 0.1, "share_current": 0.4, "p_value": 1e-9}
    each: tuple[tuple[Any, ...], ...] = (
        ("slice", f"label = {EVIL}", "quiet", {"p_value": 0.4}),
        ("slice", "label = worst", "alarm", {"p_value": 0.001}),
        ("cluster", "3: season", "watch", shares),
        ("word", TURNED, "alarm", shares),
        ("check", "length", "quiet", {"median": 12.0}),
        ("detector", "lof", "cannot tell", {}),
    )
    behind = (f"{EVIL}0", HEBREW)
    parts = tuple(
        vars(Part(kind, name, verdict, f"{EVIL} moved", dict(figures), behind))
        for kind, name, verdict, figures in each
    )
    series = {
        "looks": 2.0,
        "budget": 0.05,
        "spent": 0.02,
        "level": 0.004,
        "e_value": 3.0,
        "enough": 40.0,
    }
    add = project.stores().catalog.add_findings
    add("notes", 1, first, [finding("drift", "quiet", statistic=0.01)])
    add("notes", 1, last, [
        finding("drift", "alarm", summary=EVIL, parts=parts, record_ids=(f"{EVIL}1",),
                series=series, reference=EVIL),
        finding("health", "quiet", p_value=None, detail={"non_finite": 0.0}),
        finding("gap", "cannot tell", statistic=None, threshold=None, p_value=None),
    ])  # fmt: skip
    return collect(project.settings(), "notes", Silent())


def both(report: Report) -> list[Page]:
    return [Page(page(report)), Page(index([report], {"notes": "notes.html"}))]


def test_what_records_say_is_text_and_nothing_else(report: Report) -> None:
    for shown in both(report):
        assert all("onerror" not in attributes for _, attributes in shown.tags)
        assert not shown.of("iframe", "link", "object", "base", "form")
        assert not any(name.startswith("on") for _, a in shown.tags for name in a)
        kinds = [attributes.get("type") for attributes in shown.of("script")]
        assert kinds in (["application/json", None], [None])
    text = page(report)
    assert EVIL not in text
    assert "<script>document" not in text
    assert "\u202e" not in text, "a mark of direction makes a text read otherwise than it is"
    assert "abc\\u202etxt.exe" in text
    said = [data for _, data in Page(text).texts]
    assert EVIL in said, "it is shown as it is"
    assert HEBREW in said
    assert any(a.get("dir") == "auto" for a in Page(text).of("dd"))


def test_a_page_asks_nobody_and_lets_no_other_script_run(report: Report) -> None:
    for shown in both(report):
        for tag, attributes in shown.tags:
            assert not {"srcset", "data", "action", "poster", "background"} & set(attributes)
            for name in ("href", "src"):
                link = attributes.get(name)
                assert link is None or re.match(r"#[\w-]+$|notes\.html$|data:", link), (tag, link)
        [policy] = [m["content"] for m in shown.of("meta") if "http-equiv" in m]
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-inline" not in policy.partition("style-src")[0]
        assert "http" not in policy
        [digest] = re.findall(r"'sha256-([^']*)'", policy)
        script = [text for tag, text in shown.texts if tag == "script"][-1]
        assert b64decode(digest) == sha256(script.encode()).digest()
        [style] = [text for tag, text in shown.texts if tag == "style"]
        assert not re.search(r"url\(|@import", style)


def test_everybody_can_read_it(report: Report) -> None:
    for shown in both(report):
        ids = [a["id"] for _, a in shown.tags if "id" in a]
        assert len(set(ids)) == len(ids), "an id twice"
        for _, attributes in shown.tags:
            for name in ("aria-labelledby", "aria-describedby"):
                assert set((attributes.get(name) or "").split()) <= set(ids)
            link = attributes.get("href") or ""
            assert not link.startswith("#") or link[1:] in ids, f"leads nowhere: {link}"
        levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b <= a + 1 for a, b in pairwise(levels)), levels
        for name in ("header", "main", "footer", "title"):
            assert shown.of(name), name
        assert shown.of("html")[0]["lang"] == "en"
        assert all(a.get("scope") in {"row", "col"} for a in shown.of("th"))
        assert all("alt" in a for a in shown.of("img"))
        assert all(a.get("aria-label") for a in shown.of("audio"))
        for (tag, a), path in zip(shown.tags, shown.paths, strict=True):
            if tag == "svg" and "svg" not in path:
                assert a.get("aria-hidden") == "true" or (
                    a.get("role") == "img" and a.get("aria-labelledby")
                ), "a chart without words"
        regions = [a for a in shown.of("div") if a.get("role") == "region"]
        assert regions
        assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in regions)


def test_parts_stand_in_their_sections_the_worst_first(report: Report) -> None:
    text = page(report)
    heads = re.findall(r'<h2 id="(\w+)-heading">', text)
    assert heads == [
        "monitors", "drift", "map", "slices", "clusters", "words", "records", "health", "runs",
        "changes", "again",
    ]  # fmt: skip
    slices = text.partition('<section id="slices"')[2].partition("</section>")[0]
    assert slices.index("label = worst") < slices.index("label = &lt;/script&gt;")
    clusters = text.partition('<section id="clusters"')[2].partition("</section>")[0]
    assert "10.0%" in clusters
    assert "40.0%" in clusters
    assert "1.0e-09" in clusters, "next to nothing is not nothing"
    health = text.partition('<section id="health"')[2].partition("</section>")[0]
    assert "length" in health
    assert "rows with NaN or infinity" in health
    drift = text.partition('<section id="drift"')[2].partition("</section>")[0]
    assert "2.00% of a false-alarm budget of 5.00% spent in 2 looks" in drift
    assert "evidence of a lasting change 3, an alarm at 40" in drift
    own = drift.partition("<figure>")[2].partition("</figure>")[0]
    # of two looks, what was measured has a threshold at both, and p a level at one
    assert own.count('class="band"') == 3
    assert own.count('class="mark alarm"') == 2
    assert "p of this look 0.01; level this look had to reach 0.004" in own
    assert "gap" not in drift, "what measured nothing cannot be drawn"


def test_the_map_marks_what_alarms_name_and_draws_all_dots(report: Report) -> None:
    text = page(report)
    assert report.places is not None
    n, m = len(report.places.reference.ids), len(report.places.current.ids)
    dots = [d.count("M") for d in re.findall(r'class="dots[^"]*" d="([^"]*)"', text)]
    assert dots == [n, n, m]
    assert text.count('class="ring"') == len({HEBREW} & set(report.places.current.ids)) == 1


def test_markdown_is_no_markup_of_records(report: Report) -> None:
    told = markdown(report)
    assert "<script" not in told
    assert "&lt;script&gt;" in told
    assert "| **drift** | alarm | 0.01 |" in told
    assert "`vecmill report notes --version 1 --open`" in told
    rows = [line for line in told.splitlines() if line.startswith("|")]
    # a bar in a record's words must not begin another cell
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {9, 5}


def test_markdown_makes_no_link_of_what_records_say(report: Report) -> None:
    said = "see https://evil.example/a, www.evil.example or me@evil.example"
    first = replace(report.findings[0], summary=said)
    (line,) = [line for line in markdown(replace(report, findings=(first,))).splitlines()
               if "see https" in line]  # fmt: skip
    assert "https&#58;//evil.example/a, www&#46;evil.example or me&#64;evil.example" in line


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", [0, 1])
def test_texts_stand_out_in_both_schemes(scheme: int) -> None:
    style = (Path(flows.reports.page.__file__).parent / "page.css").read_text("utf-8")
    found = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: pair[scheme] for name, *pair in found}
    for ink in ("ink", "dim", "now", "alarm", "watch", "quiet", "unsure"):
        for paper in ("paper", "raised"):
            light, dark = sorted((_luminance(colours[ink]), _luminance(colours[paper])))[::-1]
            # WCAG 2.2, success criterion 1.4.3, level AA
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def test_pictures_are_in_the_page_as_far_as_there_is_room(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "pictures").mkdir()
    for number, colour in enumerate(COLOURS):
        paint(project.root / "pictures" / f"{number}.png", colour)
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 8, "size": 16}
    project.feature = {"thumbnails": 48}
    run = project.run().run
    ids = tuple(f"{number}.png" for number in range(len(COLOURS)))
    row = finding("outliers", "alarm", record_ids=ids)
    project.stores().catalog.add_findings("notes", 1, run, [row])
    found = collect(project.settings(), "notes", Silent())
    images = Page(page(found)).of("img")
    assert [image["alt"] for image in images] == [f"thumbnail of {i}" for i in ids]
    for image, i in zip(images, ids, strict=True):
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/webp;base64"
        assert b64decode(data) == project.rows()[i]["thumbnail"]
    first = len(found.gallery[0].thumbnail or b"")
    monkeypatch.setattr(gallery, "ROOM", first)
    fewer = collect(project.settings(), "notes", Silent())
    assert [card.thumbnail is not None for card in fewer.gallery] == [True] + [False] * 5
    assert "Thumbnails or recordings of 5 records are left out" in " ".join(fewer.left_out)


def test_recordings_are_played(project: Project) -> None:
    (project.root / "sounds").mkdir()
    for k in range(4):
        samples = np.random.default_rng(k).normal(0, 0.1, 8_000)
        soundfile.write(project.root / "sounds" / f"{k}.wav", samples, 16_000)
    project.source = {"kind": "files", "path": "sounds/*.wav"}
    project.encoder = {"kind": "mfcc"}
    run = project.run().run
    row = finding("outliers", "alarm", record_ids=("2.wav", "gone.wav"))
    project.stores().catalog.add_findings("notes", 1, run, [row])
    found = collect(project.settings(), "notes", Silent())
    [audio] = Page(page(found)).of("audio")
    kind, _, data = str(audio["src"]).partition(",")
    assert kind == "data:audio/wav;base64"
    assert b64decode(data) == (project.root / "sounds" / "2.wav").read_bytes()
    assert audio["aria-label"] == "recording 2.wav"
    assert "autoplay" not in audio
