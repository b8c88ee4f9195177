"""Maps of a feature: what is on them stays in its place, and nobody stays who was erased."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.cli import run_command
from flows.config.settings import Gc
from flows.maps.drawing import Asked, Map, draw
from flows.maps.page import page
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage.model import StorageError, UsageError
from tests.flows.chunked import cut

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

PCA = Asked("pca")
NOW = Gc(keep_runs=1, keep_days=0, grace_hours=0, drop_retired_after_days=0)


class Notes(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, message: str) -> None:
        self.told.append(message)


def records(first: int, last: int, word: str = "text") -> list[tuple[str, str, str]]:
    return [(f"record-{k:03}", f"{word} {k}", f"label {k % 3}") for k in range(first, last)]


def ran(project: Project, *rows: tuple[str, str, str]) -> Project:
    project.write(rows)
    project.run()
    return project


def places(found: Map) -> dict[str, tuple[float, ...]]:
    ids = found.rows["record_id"].to_pylist()
    return dict(zip(ids, map(tuple, found.places.tolist()), strict=True))


def drawn(project: Project, asked: Asked = PCA) -> Map:
    return draw(project.settings(), "notes", asked, Silent())


def holding(project: Project, text: bytes) -> list[Path]:
    """All files of the store that hold a text, found without Vecmill's help."""
    files = (path for path in (project.root / "data").rglob("*") if path.is_file())
    return [path for path in files if text in path.read_bytes()]


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_what_is_on_a_map_stays_where_it_is(project: Project, method: Any) -> None:  # noqa: ANN401
    asked = Asked(method)
    ran(project, *records(0, 40))
    first = drawn(project, asked)
    assert (first.kept, first.added, len(first.places)) == (0, 0, 40)
    changed = ("record-005", "another text", "label 0")
    ran(project, changed, *records(6, 40), *records(100, 104))
    second = drawn(project, asked)
    assert set(places(second)) == {"record-005"} | {i for i, *_ in records(6, 40)} | {
        i for i, *_ in records(100, 104)
    }
    assert (second.kept, second.added) == (34, 5)
    assert second.laid_out == first.laid_out
    before, after = places(first), places(second)
    stayed = [i for i in before if i in after and i != "record-005"]
    assert {i: after[i] for i in stayed} == {i: before[i] for i in stayed}
    assert after["record-005"] != before["record-005"]
    third = drawn(project, asked)
    assert places(third) == after
    assert (third.kept, third.added) == (39, 5)


def test_new_records_land_where_the_same_contents_lie(project: Project) -> None:
    ran(project, *records(0, 40))
    first = places(drawn(project))
    ran(project, *records(0, 40), ("copy", "text 7", "x"))
    second = places(drawn(project))
    np.testing.assert_allclose(second["copy"], first["record-007"], atol=1e-3)


def test_anew_lays_out_afresh_and_that_is_kept(project: Project) -> None:
    ran(project, *records(0, 30))
    first = drawn(project)
    ran(project, *records(0, 60))
    fresh = drawn(project, Asked("pca", anew=True))
    assert (fresh.kept, fresh.added) == (0, 0)
    assert places(fresh)["record-001"] != places(first)["record-001"]
    assert places(drawn(project)) == places(fresh)


def test_where_much_is_new_it_says_so_and_still_keeps_the_old(project: Project) -> None:
    ran(project, *records(0, 20))
    first = drawn(project)
    ran(project, *records(0, 50))
    notes = Notes()
    second = draw(project.settings(), "notes", PCA, notes)
    assert second.stale
    [told] = notes.told
    assert "30 of 50 records came after the map was laid out" in told
    assert "--anew" in told
    assert places(second)["record-003"] == places(first)["record-003"]
    again = Notes()
    draw(project.settings(), "notes", PCA, again)  # nothing new, and as stale as before
    assert again.told == notes.told


def test_where_next_to_nothing_is_left_it_is_laid_out_afresh(project: Project) -> None:
    ran(project, *records(0, 30))
    drawn(project)
    ran(project, *records(25, 60))
    notes = Notes()
    found = draw(project.settings(), "notes", PCA, notes)
    assert (found.kept, found.added) == (0, 0)
    assert "laid out afresh" in notes.told[0]


@pytest.mark.parametrize("before", [True, False])
def test_a_version_without_records_has_no_map(project: Project, before: bool) -> None:  # noqa: FBT001 - a case
    ran(project, *records(0, 30))
    if before:
        drawn(project)
    ran(project)
    with pytest.raises(UsageError, match="notes_v1 has 0 records with a vector; a map needs 10"):
        drawn(project)


def test_a_sample_is_of_the_same_records_and_a_larger_one_adds_to_it(project: Project) -> None:
    ran(project, *records(0, 60))
    small = drawn(project, Asked("pca", size=30))
    assert (len(small.places), small.total) == (30, 60)
    assert places(drawn(project, Asked("pca", size=30))) == places(small)
    whole = places(drawn(project, Asked("pca", size=100)))
    assert len(whole) == 60
    assert {i: whole[i] for i in places(small)} == places(small)
    assert places(drawn(project, Asked("pca", size=30))) == places(small)


def test_each_version_and_each_method_has_a_map_of_its_own(project: Project) -> None:
    ran(project, *records(0, 30))
    first = drawn(project)
    project.encoder = {"revision": 2}
    project.run()
    other = drawn(project, Asked("pca", number=2))
    assert places(other) != places(first)
    assert places(drawn(project, Asked("pca", number=1))) == places(first)


def test_of_a_history_the_current_rows_are_shown(project: Project) -> None:
    project.source = {"event_time": "at"}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    rows = [(*record, "2026-01-01") for record in records(0, 20)]
    project.write(rows, header)
    project.run()
    first = places(drawn(project))
    project.write([("record-003", "changed", "label 0", "2026-02-01"), *rows], header)
    project.run()
    found = drawn(project)
    assert (len(found.places), found.total, found.added) == (20, 20, 1)
    assert places(found)["record-003"] != first["record-003"]


def test_erased_records_are_on_no_map_any_more(project: Project) -> None:
    ran(project, *records(0, 30), ("MARK-0001", "MARK text", "MARK label"))
    kept = places(drawn(project))
    drawn(project, Asked("tsne"))
    assert any("maps" in path.parts for path in holding(project, b"MARK"))
    ran(project, *records(0, 30))
    eraser = Eraser(project.settings(), "notes", ["MARK-0001"])
    assert eraser.look(Silent())["points on maps of notes_v1"] == 2
    receipt = eraser.erase(Silent())
    assert holding(project, b"MARK") == []
    assert receipt["proved"], receipt["proof"]
    assert receipt["removed"]["points on maps of notes_v1"] == 2
    assert "maps of notes_v1" in [check["place"] for check in receipt["proof"]]
    del kept["MARK-0001"]
    assert places(drawn(project)) == kept


def test_chunks_of_erased_records_are_on_no_map_any_more(project: Project) -> None:
    cut(project)
    texts = [(i, f"{text} and some more words to cut", label) for i, text, label in records(0, 12)]
    ran(project, *texts, ("MARK-0001", "one two three four five", "x"))
    found = places(drawn(project))
    assert {"MARK-0001#0", "MARK-0001#1"} <= set(found)
    ran(project, *texts)
    receipt = Eraser(project.settings(), "notes", ["MARK-0001"]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert holding(project, b"MARK") == []
    assert set(places(drawn(project))) == {i for i in found if not i.startswith("MARK")}


def test_a_map_that_is_drawn_while_records_are_erased_is_kept_without_them(
    project: Project,
) -> None:
    ran(project, *records(0, 30), ("MARK-0001", "MARK text", "MARK label"))

    class Erasing(Silent):
        """Erases once the records were read, before the map is kept."""

        def stage(self, feature: str, name: str, total: int | None) -> None:  # noqa: ARG002
            if name == "trustworthiness":
                project.write(records(0, 30))
                receipt = Eraser(project.settings(), "notes", ["MARK-0001"]).erase(Silent())
                assert receipt["proved"], receipt["proof"]

    assert "MARK-0001" in places(draw(project.settings(), "notes", PCA, Erasing()))
    assert holding(project, b"MARK-0001") == []
    assert "MARK-0001" not in places(drawn(project))


def test_maps_go_with_their_version(project: Project) -> None:
    ran(project, *records(0, 30))
    drawn(project)
    project.encoder = {"revision": 2}
    project.run()
    drawn(project, Asked("pca", number=2))
    project.promote(2)
    maps = project.stores().maps
    assert maps.tables() == ["notes_v1", "notes_v2"]
    Collector(project.settings(), NOW).collect([], Silent())
    assert maps.tables() == ["notes_v2"]
    with pytest.raises(UsageError, match="notes_v1 was dropped"):
        drawn(project, Asked("pca", number=1))


def test_maps_of_what_is_gone_and_files_of_a_kill_are_collected(project: Project) -> None:
    ran(project, *records(0, 30))
    drawn(project)
    folder = project.root / "data" / "maps"
    (folder / "notes_v1" / "tsne.1.tmp").write_bytes(b"half")
    (folder / "nobody_v3").mkdir()
    (folder / "nobody_v3" / "pca.parquet").write_bytes(b"whoever")
    looked = Collector(project.settings(), NOW).look([])
    going = [item.what for item in looked if item.goes and "maps" in item.what]
    assert going == [
        str(folder / "notes_v1" / "tsne.1.tmp"), str(folder / "nobody_v3"),
    ]  # fmt: skip
    Collector(project.settings(), NOW).collect([], Silent())
    left = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert left == ["notes_v1/pca.parquet"]


def test_a_damaged_map_is_told(project: Project) -> None:
    ran(project, *records(0, 30))
    drawn(project)
    (project.root / "data" / "maps" / "notes_v1" / "pca.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match="is damaged"):
        drawn(project)
    assert len(drawn(project, Asked("pca", anew=True)).places) == 30
    assert drawn(project).kept == 30


def test_misuse_is_told(project: Project) -> None:
    ran(project, *records(0, 9))
    with pytest.raises(UsageError, match="notes_v1 has 9 records with a vector; a map needs 10"):
        drawn(project)
    with pytest.raises(UsageError, match="--sample must be 10 or more, got 3"):
        drawn(project, Asked("pca", size=3))
    with pytest.raises(UsageError, match="notes has no version v7"):
        drawn(project, Asked("pca", number=7))


def run(project: Project, *arguments: object) -> int:
    return run_command([*map(str, arguments), "--conf", str(project.settings().conf)])


def test_the_command_writes_a_picture_and_a_page(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(project, *records(0, 30))
    monkeypatch.chdir(project.root)
    assert run(project, "map", "notes", "--method", "pca", "--color", "label", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == ["notes_v1-pca.png", "notes_v1-pca.html"]
    assert (told["records"], told["of"], told["kept"], told["added"]) == (30, 30, 0, 0)
    assert 0 < told["trustworthiness"] <= 1
    assert (project.root / "notes_v1-pca.png").read_bytes()[:4] == b"\x89PNG"
    assert "label 2" in (project.root / "notes_v1-pca.html").read_text("utf-8")
    assert run(project, "map", "notes", "--method", "pca", "-o", "a.svg", "-o", "b.html") == 0
    out = capsys.readouterr().out
    assert "30 lie where the map that is kept had them, 0 are new or changed" in out
    assert {"a.svg", "b.html"} <= {path.name for path in project.root.iterdir()}
    assert not list(project.root.glob(".*.tmp*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--color", "lable"), "got 'lable'; there are: 'event_time', 'label'"),
        (("--color", "vector"), "--color takes a kept column, or event_time; got 'vector'"),
        (("-o", "map.gif"), "one of .html, .png, .pdf, .svg, .jpg, .webp; got .gif"),
        (("-o", "away/map.png"), "there is no folder away"),
    ],
)
def test_the_command_tells_before_it_draws(
    project: Project, capsys: pytest.CaptureFixture[str], options: tuple[str, str], message: str
) -> None:
    ran(project, *records(0, 30))
    assert run(project, "map", "notes", *options) == 2
    assert message in capsys.readouterr().err
    assert project.stores().maps.tables() == []


@pytest.mark.realdata
@pytest.mark.slow
def test_titles_of_one_section_lie_together(project: Project, data: Path) -> None:
    """AG News by latent semantic analysis, by t-SNE."""
    import polars as pl

    from flows.maps.colours import Categories, colours

    rows = pl.read_csv(data / "text" / "ag_news.csv").head(600)
    project.write(rows.select("id", pl.col("title") + " " + pl.col("body"), "label").rows())
    project.encoder = {"kind": "lsa", "dim": 32}
    project.run()
    found = drawn(project, Asked("tsne"))
    assert found.trust is not None
    assert found.trust > 0.85
    shades = colours("label", found.rows["label"], len(found.places))
    assert isinstance(shades, Categories)
    assert len(shades.categories) == 4
    distances = np.linalg.norm(found.places[:, None] - found.places[None], axis=2)
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    assert (shades.codes[nearest] == shades.codes[:, None]).mean() > 0.5
    assert len(page(found, shades)) < 8_000_000
