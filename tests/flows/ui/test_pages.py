"""The pages of `vecmill ui`, as its own process serves them."""

from __future__ import annotations

import csv
import io
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages
from flows.ui import app
from tests.flows.ui.served import COLOURS, HOSTILE, digests, serve
from tests.processes import python

if TYPE_CHECKING:
    from tests.flows.project import Project
    from tests.flows.ui.served import Served

SEARCH = "/features/notes/search"
PAGES = (
    "/", "/runs", "/dead", "/alerts", "/sql", "/features/notes", "/features/notes?version=1",
    f"{SEARCH}?text=milla+millb&k=5", f"{SEARCH}?id=r3", "/features/photos/search?id=red",
    "/features/notes/record?id=r1", "/features/photos/record?id=red", "/features/notes/map",
    "/features/notes/map/page?color=label", "/features/photos/map", "/features/notes/report",
    "/features/notes/report/page", "/features/notes/plan", "/features/coming",
    "/features/coming/search",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """All pages, asked for once.

    Attributes:
        before: what the files of the project held before.
        texts: of each page, once there is an answer.
    """

    before: dict[str, str]
    texts: dict[str, str]


@pytest.fixture(scope="module")
def seen(served: Served) -> Seen:
    before = digests(served.project.root)
    pages = {path: served.answered(served.get(path)) for path in PAGES}
    for path, page in pages.items():
        assert page.status_code == 200, path
    return Seen(before, {path: page.text for path, page in pages.items()})


def test_the_overview_has_what_is_wrong_before_all_features(served: Served) -> None:
    text = served.get("/").text
    problems, features = text.index("Needs attention"), text.index('id="features"')
    assert problems < text.index("drift") < features
    table = text[features:]
    assert table.index("notes") < table.index("coming") < table.index("photos")
    assert ">61<" in table, "the rows of notes"
    assert ">1<" in table, "the dead letter of photos"
    assert "nothing published" in table


def test_what_is_slow_to_tell_comes_after(served: Served) -> None:
    assert "no run has crashed" in served.answered(served.get("/")).text


def test_a_feature_is_told_by_findings_versions_runs_and_dead_letters(served: Served) -> None:
    text = served.get("/features/notes").text
    for word in ("the texts moved", "Records that monitors name", "Versions", "lsa", "Runs"):
        assert word in text
    assert '/features/notes/record?id=r1"' in text
    photos = served.get("/features/photos").text
    assert "torn.png" in photos
    assert "has not been monitored yet" in photos


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/features/note", "no feature &#x27;note&#x27;; did you mean &#x27;notes&#x27;?"),
        ("/features/notes?version=9", "version"),
        ("/features/notes?version=x", "a version is named by its number"),
        ("/features/notes/record?id=r999", "no record &#x27;r999&#x27;"),
        ("/nowhere", "There is no such page"),
        ("/jobs/none", "ask again"),
        ("/jobs/none/rows.csv", "ask again"),
        ("/static/none", "no such file"),
    ],
)
def test_what_is_not_there_is_told_in_words(served: Served, path: str, words: str) -> None:
    answer = served.get(path)
    assert answer.status_code in {400, 404}
    assert words in answer.text


def test_a_text_finds_its_like(served: Served) -> None:
    text = served.answered(served.get(f"{SEARCH}?text=milla+millb+millc&k=4")).text
    assert "4 found, the nearest first" in text
    assert text.count('<dd dir="auto">mill</dd>') == 4, "all of the topic"
    assert "distance " in text


def test_a_record_finds_its_like_and_not_itself(served: Served) -> None:
    text = served.answered(served.get(f"{SEARCH}?id=r3&k=5")).text
    assert "5 found" in text
    assert ">r3</a>" not in text


def test_a_record_names_its_source_and_kind(seen: Seen) -> None:
    assert "(kind files). " in seen.texts["/features/photos/record?id=red"]


def test_words_are_looked_for_in_all_kept_texts_unless_one_is_named(served: Served) -> None:
    assert ">all kept texts</option>" in served.get("/features/photos/search").text


def test_words_and_conditions_narrow(served: Served) -> None:
    text = served.answered(served.get(f"{SEARCH}?words=petsa&in=text&where=label='pets'&k=50")).text
    assert "found, the best first" in text
    assert ">pets</dd>" in text
    assert ">mill</dd>" not in text


def test_a_search_that_finds_nothing_says_why(served: Served) -> None:
    text = served.answered(served.get(f"{SEARCH}?words=petsa&where=label='petz'")).text
    assert "Nothing found: none of the " in text
    assert "did you mean &#x27;pets&#x27;?" in text or "did you mean &#39;pets&#39;?" in text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("text=a&k=0", "from 1 to 200"),
        ("text=a&k=many", "from 1 to 200"),
        ("text=a&where=nothing = 1", "nothing"),
        ("id=nobody", "no record"),
    ],
)
def test_a_search_that_cannot_be_says_why(served: Served, query: str, words: str) -> None:
    text = served.answered(served.get(f"{SEARCH}?{query}")).text
    assert 'role="alert"' in text
    assert words in text


def test_a_picture_of_the_users_own_finds_its_like(served: Served) -> None:
    picture = (served.project.root / "photos" / "red.png").read_bytes()
    file = {"file": ("mine.png", picture)}
    page = served.ask("POST", "/features/photos/search/image", files=file)
    text = served.answered(page).text
    assert f"{len(COLOURS)} found" in text
    assert text.index(">red</a>") < text.index(">blue</a>")
    assert text.count("data:image/webp;base64,") == len(COLOURS)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_what_is_no_picture_is_refused(served: Served, data: bytes) -> None:
    file = {"file": ("mine.png", data)}
    page = served.ask("POST", "/features/photos/search/image", files=file)
    assert 'role="alert"' in served.answered(page).text


def test_a_record_is_traced_to_what_made_it(seen: Seen) -> None:
    text = seen.texts["/features/photos/record?id=red"]
    assert "photos_v1" in text
    assert "vision" in text
    assert "data:image/webp;base64," in text


def test_a_plan_says_what_a_run_would_do(served: Served) -> None:
    assert "nothing to encode" in served.post("/features/notes/plan").text
    assert "61 to encode" in served.post("/features/coming/plan").text


def test_the_map_is_the_one_that_is_kept(seen: Seen) -> None:
    text = seen.texts["/features/notes/map/page?color=label"]
    assert '"r59"' in text
    assert "PCA" in text
    assert "vecmill map photos" in seen.texts["/features/photos/map"]


def test_a_column_of_any_name_colours_the_map(served: Served) -> None:
    answer = served.get("/features/notes/map?color=a+b%26c")
    assert "/features/notes/map/page?color=a%20b%26c" in answer.text


def test_the_report_is_the_one_that_the_command_writes(served: Served) -> None:
    answer = served.get("/features/notes/report/page")
    assert "How to get the same again" in answer.text
    assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"


def test_sql_gives_rows_and_a_file(served: Served) -> None:
    text = served.post(
        "/sql", statement="SELECT record_id, label, vector FROM notes ORDER BY 1"
    ).text
    assert "61 rows" in text
    assert "… of 8]" in text, "a vector is cut"
    link = text.split('href="/jobs/')[1].split('"')[0]
    rows = list(csv.reader(io.StringIO(served.get(f"/jobs/{link}").text)))
    assert rows[0] == ["record_id", "label", "vector"]
    assert len(rows) == 62
    assert [HOSTILE, HOSTILE] in [row[:2] for row in rows]


def test_sql_lists_what_can_be_asked(served: Served) -> None:
    text = served.get("/sql").text
    for name in ("notes", "notes_v1", "photos", "runs", "findings", "notes_clusters"):
        assert f">{name}</a>" in text
    assert "vecmill_shown" not in text


@pytest.mark.parametrize(
    "call",
    [
        "knn('photos', '/etc/hostname')",
        "knn('photos_v1', '/etc/hostname')",
        "knn('notes', image := '/etc/hostname')",
        "knn('photos', audio := '/etc/hostname')",
    ],
)
def test_no_search_in_sql_opens_a_file(served: Served, call: str) -> None:
    text = served.post("/sql", statement=f"FROM {call}").text
    assert "knn() opens no file here" in text


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("(SELECT CAST(content AS INTEGER) FROM read_text('notes.csv')) = 1", "no SELECT within"),
        ("length(repeat('x', 3000000000)) > 1", "but not repeat()"),
    ],
)
def test_no_condition_reads_a_file_or_grows(served: Served, condition: str, words: str) -> None:
    asked = {"text": "milla", "where": condition}
    text = served.answered(served.ask("GET", SEARCH, params=asked)).text
    statement = f"FROM knn('notes', 'milla', filter := $${condition}$$)"
    text += served.post("/sql", statement=statement).text
    assert text.count(words) == 2
    assert "petsa" not in text


def test_a_search_in_sql_is_answered(served: Served) -> None:
    found = served.post("/sql", statement="SELECT label FROM knn('notes', 'milla millb', 4)").text
    assert found.count(">mill<") == 4
    found = served.post("/sql", statement="FROM knn('photos', id := 'red', k := 2)").text
    assert "2 rows" in found


def test_what_records_say_is_text_on_every_page(seen: Seen, served: Served) -> None:
    for path, text in seen.texts.items():
        assert "<script>alert" not in text, path
    assert sum("&lt;script&gt;alert" in text for text in seen.texts.values()) >= 2
    answer = served.post("/sql", statement="FROM notes").text
    assert "&lt;script&gt;alert" in answer
    assert "<script>alert" not in answer


def test_nothing_is_written(seen: Seen, served: Served) -> None:
    served.post("/features/notes/plan")
    served.post("/features/coming/plan")
    for statement in ("FROM notes", "FROM notes_clusters", "DROP TABLE runs", "SET threads = 1"):
        served.post("/sql", statement=statement)
    assert digests(served.project.root) == seen.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_store_that_is_not_there_yet_stays_away_and_a_signal_ends_it(
    project: Project, number: signal.Signals
) -> None:
    project.encoder = {"kind": "lsa", "dim": 4}  # not of the tests: the process knows its own
    project.write([("a", "one", "x")])
    project.settings()
    before = digests(project.root)
    server = serve(project)
    try:
        assert "nothing published" in server.get("/").text
        assert "never" in server.get("/").text
        assert server.get("/features/notes/map").status_code == 400
    finally:
        server.process.send_signal(number)
        _, said = server.process.communicate(timeout=300)
    assert server.process.returncode == (0 if number == signal.SIGINT else 143), said
    assert said.endswith("ended\n")
    assert digests(project.root) == before


def test_new_runs_and_features_are_seen_without_a_restart(project: Project) -> None:
    project.write([("a", "one", "x")])
    with TestClient(app.make(project.settings()), "http://localhost") as client:
        assert "never" in client.get("/").text
        stages.embed(project.settings(), "notes", Direct(), Silent())
        assert ">1<" in client.get("/").text
        project.write([("a", "one", "x"), ("b", "two", "y")])
        stages.embed(project.settings(), "notes", Direct(), Silent())
        assert ">2<" in client.get("/").text
        project.more = '[features.later]\nsource = "notes"\nencoder = "mill"\n'
        project.settings()
        assert "later" in client.get("/").text


def test_a_run_that_failed_is_told_of_once(project: Project) -> None:
    project.source = {"path": "gone.csv"}
    with pytest.raises(Exception, match="no file matches"):
        project.run()
    with TestClient(app.make(project.settings()), "http://localhost") as client:
        text = client.get("/").text
    assert text.count("no file matches") == 1
    assert "The last run failed, on " in text


def test_a_configuration_that_breaks_meanwhile_is_told(project: Project) -> None:
    project.write([("a", "one", "x")])
    with TestClient(app.make(project.settings()), "http://localhost") as client:
        (project.root / "vecmill.toml").write_text("[nonsense]\n", encoding="utf-8")
        answer = client.get("/")
    assert answer.status_code == 404
    assert "nonsense" in answer.text


def test_no_secret_is_on_a_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TOKEN", "hush-hush-hush")
    project.write([("a", "one", "hush-hush-hush")])
    project.more = '[alerts.team]\nkind = "webhook"\nurl = "https://h.example/${UI_TOKEN}"\n'
    stages.embed(project.settings(), "notes", Direct(), Silent())
    with TestClient(app.make(project.settings()), "http://localhost") as client:
        text = client.get(f"{SEARCH}?id=hush-hush-hush").text
        text += client.get("/sql?statement=hush-hush-hush").text
    assert "hush-hush-hush" not in text
    assert "${UI_TOKEN}" in text


def test_the_first_pages_load_no_encoder(served: Served) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from starlette.testclient import TestClient
        from flows.config.configuration import load
        from flows.ui.app import make
        with TestClient(make(load(Path(sys.argv[1]))), "http://localhost") as client:
            for path in ("/", "/features/notes", "/features/notes/search", "/sql"):
                assert client.get(path).status_code == 200
        print(sorted({"torch", "transformers", "prefect"} & {*sys.modules}))
    """
    process = python(code, served.project.root / "vecmill.toml")
    out, err = process.communicate(timeout=300)
    assert out.strip() == "[]", err
