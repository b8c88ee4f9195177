"""Canaries: kept from the first run on, encoded again, and what follows where they differ."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from flows.config.settings import SettingsError
from flows.monitoring.canaries import Local
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline.refusals import RunError
from flows.pipeline.scope import Scope
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage import canaries as kept_canaries
from storage.canaries import Canaries
from tests.encoders.endpoints import DIM, Endpoint, endpoint, units_of
from tests.flows.interruptions import Interruption, Stopping, stop
from tests.flows.project import Project, vector
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from storage.model import FindingRow
    from tests.flows.shop import Shop
    from tests.processes import Forking


def texts(first: int, stop: int, word: str = "text") -> list[tuple[str, str, str]]:
    return [(f"record-{n:03d}", f"{word} {n}", "x") for n in range(first, stop)]


def kept(project: Project, table: str = "notes_v1") -> pl.DataFrame:
    found = project.stores().canaries.load(table)
    assert found is not None, "there are no canaries"
    return found


def look(project: Project, name: str = "notes") -> dict[str, FindingRow]:
    return {f.monitor: f for f in monitor(project.settings(), name, Silent())}


@pytest.fixture
def watched(project: Project) -> Project:
    project.feature = {"monitors": ["drift", "encoder"]}
    return project


# --- keeping --------------------------------------------------------------------------------------


def test_the_lowest_hashes_of_the_first_run_are_kept_with_their_vectors(project: Project) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 40))
    run = project.run().run
    rows = {row["content_hash"]: row for row in project.rows().values()}
    found = kept(project)
    assert found["content_hash"].to_list() == sorted(rows)[:10]
    assert set(found["run_id"]) == {run}
    for row in found.iter_rows(named=True):
        published = rows[row["content_hash"]]
        assert row["record_id"] == published["record_id"]
        assert np.float32(row["vector"]).tobytes() == vector(published).tobytes()
    project.write(texts(0, 60))
    project.run()
    assert kept(project).equals(found), "a later run has changed them"


def test_few_contents_are_all_kept_and_later_runs_add_to_them(project: Project) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 4))
    project.run()
    first = kept(project)
    assert len(first) == 4
    project.write([*texts(0, 4), ("bad", "FAIL", "x"), *texts(4, 30)])
    project.run()
    assert kept(project)[:4].equals(first)
    assert len(kept(project)) in {9, 10}, "one of those chosen may have failed"


def test_a_version_has_its_own(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    one, two = kept(project), kept(project, "notes_v2")
    assert one["content_hash"].to_list() == two["content_hash"].to_list()
    assert not one["vector"].equals(two["vector"])


def test_none_are_kept_where_the_feature_says_so(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    assert project.stores().canaries.tables() == ["notes_v1"]
    project.feature = {"canaries": 0}
    project.run()
    assert project.stores().canaries.tables() == []
    project.write(texts(0, 20))
    project.run()
    assert project.stores().canaries.tables() == []
    assert look(project)["encoder"].verdict == "cannot tell"
    project.feature = {"canaries": 1001}
    with pytest.raises(SettingsError, match="canaries is how many contents are kept, up to 1,000"):
        project.settings()


def test_their_contents_take_no_more_than_so_many_bytes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_canaries, "MAX_BYTES", 10_000)
    project.write([(n, f"{n} " + "long " * 400, "x") for n in range(20)])
    project.run()
    assert 2 <= len(kept(project)) <= 4


@pytest.mark.parametrize("point", ["plan", "shard", "encode", "commit"])
def test_a_run_that_was_stopped_and_its_next_keep_what_one_would(
    project: Project, point: str
) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 40))
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point=point, how=stop))
    project.run()
    rows = {row["content_hash"]: vector(row).tolist() for row in project.rows().values()}
    found = kept(project)
    assert found["content_hash"].to_list() == sorted(rows)[:10]
    assert found["vector"].to_list() == [rows[content] for content in sorted(rows)[:10]]


def test_a_damaged_file_costs_the_canaries_alone(watched: Project) -> None:
    watched.write(texts(0, 30))
    watched.run()
    (path,) = watched.stores().canaries.files("notes_v1")
    path.write_bytes(path.read_bytes()[:-100])
    heard = Heard()
    findings = {f.monitor: f for f in monitor(watched.settings(), "notes", heard)}
    assert findings["encoder"].verdict == "cannot tell"
    assert any("are damaged" in note for note in heard.notes)
    watched.write(texts(0, 60))
    watched.run()
    assert len(kept(watched)) == 30, "others are to take their place"


# --- looking --------------------------------------------------------------------------------------


def test_an_encoder_that_stays_is_quiet_and_nothing_is_written(watched: Project) -> None:
    watched.write(texts(0, 110))
    first = watched.run().run
    watched.write(texts(0, 170))
    watched.run()
    before = {p: p.stat().st_mtime_ns for p in (watched.root / "data").rglob("*.arrow")}
    found = look(watched)["encoder"]
    assert found.verdict == "quiet", found.summary
    assert (found.statistic, found.n_reference, found.reference_run) == (0.0, 100, first)
    assert found.reference is not None
    assert found.reference.startswith("100 canaries, as first encoded on 2")
    assert {p: p.stat().st_mtime_ns for p in (watched.root / "data").rglob("*.arrow")} == before
    assert list((watched.root / "data" / "staging").rglob("*.parquet")) == []


def test_a_changed_encoder_is_told_from_changed_data(watched: Project) -> None:
    watched.write(texts(0, 100))
    first = watched.run().run
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    assert watched.run().version == 1, "the recipe does not tell of it"
    found = look(watched)
    assert found["encoder"].verdict == "alarm"
    assert found["encoder"].summary.startswith("the encoder changed: 100 of 100 canaries")
    assert "the same on other axes" in found["encoder"].summary
    drift = found["drift"]
    assert drift.verdict == "quiet", drift.summary
    assert drift.summary.endswith("; judged apart from the encoder's change")
    assert drift.reference == "the canaries, encoded anew, since the encoder changed"
    assert (drift.reference_run, drift.n_reference, drift.n_current) == (first, 100, 100)


@pytest.mark.parametrize("blocking", ["encoder", "drift"])
def test_it_is_told_from_changed_data_whoever_looks_before_the_run_is_published(
    watched: Project, blocking: str
) -> None:
    watched.more = f'[monitors.{blocking}]\nblocks = "publishing"\n'
    watched.write(texts(0, 100))
    watched.run()
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    watched.run(scope=Scope(allow_alarms=True))
    found = {f.monitor: f for f in monitor(watched.settings(), "notes", Silent(), again=False)}
    assert found["encoder"].verdict == "alarm"
    assert found["drift"].reference == "the canaries, encoded anew, since the encoder changed"


def test_what_a_changed_encoder_made_of_a_run_that_was_blocked_is_forgotten(
    watched: Project,
) -> None:
    watched.more = '[monitors.encoder]\nblocks = "publishing"\n'
    watched.write(texts(0, 60))
    watched.run()
    first = kept(watched)
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    words = r"what was encoded is forgotten, since the encoder has changed\. Put the encoder back"
    with pytest.raises(RunError, match=words):
        watched.run()
    assert kept(watched).equals(first), "the new ones have no vector of this space"
    watched.encoder = {}
    counts = watched.run().counts
    assert (counts.encoded, counts.resumed) == (140, 0)
    assert look(watched)["encoder"].verdict == "quiet"


def test_canaries_of_the_run_itself_and_their_missing_columns_are_no_reference(
    watched: Project,
) -> None:
    watched.feature = {"monitors": ["encoder", "slices", "drift"]}
    watched.write(texts(0, 30))
    watched.run()
    watched.encoder = {"breach": "turns"}
    rows = [(record_id, text, "xy"[n % 2]) for n, (record_id, text, _) in enumerate(texts(30, 200))]
    watched.write([*texts(0, 30), *rows])
    watched.run()
    found = look(watched)
    assert found["encoder"].n_current == 100
    assert found["drift"].n_reference == 30
    assert found["slices"].verdict == "cannot tell", found["slices"].summary


def test_a_change_after_the_run_leaves_the_others_their_reference(watched: Project) -> None:
    watched.write(texts(0, 100))
    watched.run()
    watched.write(texts(0, 200))
    watched.run()
    assert look(watched)["encoder"].verdict == "quiet"
    watched.encoder = {"breach": "turns"}
    watched.run()  # encodes nothing: its last vectors are of the encoder as it was
    for _ in range(2):
        found = look(watched)
        assert found["encoder"].verdict == "alarm"
        assert "after this run was first looked at" in found["encoder"].summary
        assert found["drift"].verdict == "quiet", found["drift"].summary
        assert found["drift"].reference == "the state before the run"


def test_an_encoder_that_is_out_of_order_is_no_change(watched: Project) -> None:
    watched.write(texts(0, 60))
    watched.run()
    watched.write(texts(0, 120))
    watched.run()
    watched.encoder = {"breach": "refuses"}
    watched.write(texts(0, 130))
    with pytest.raises(RunError, match="the weights are gone"):
        watched.run()
    heard = Heard()
    findings = {f.monitor: f for f in monitor(watched.settings(), "notes", heard)}
    assert findings["encoder"].verdict == "cannot tell"
    assert "could not be encoded again" in findings["encoder"].summary
    assert any("the weights are gone" in note for note in heard.notes)
    assert findings["drift"].verdict == "quiet", "the others look all the same"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def other_model(texts: Sequence[str], dim: int) -> NDArray[np.float32]:
    """Another model behind the same name: it sees other things in the same texts."""
    return units_of([f"{text} as others see it" for text in texts], dim)


@pytest.mark.parametrize("drifts", [False, True])
def test_a_model_that_changes_behind_its_endpoint_is_seen(
    tmp_path: Path, server: Endpoint, *, drifts: bool
) -> None:
    keys: dict[str, Any] = {"kind": "remote", "url": server.openai, "model": "drawn", "dim": DIM}
    project = Project(tmp_path, encoder=keys, feature={"monitors": ["drift", "encoder"]})
    server.embed = units_of
    project.write(texts(0, 100))
    project.run()
    project.write(texts(0, 200))
    project.run()
    assert {f.verdict for f in look(project).values()} == {"quiet"}

    def embed(given: Sequence[str], dim: int) -> NDArray[np.float32]:
        """Texts of the new word lie together."""
        rows = other_model(given, dim)
        rows[["novel" in text for text in given]] += np.float32(0.5)
        return rows

    server.embed = embed
    project.write([*texts(0, 200), *texts(200, 300, "novel" if drifts else "text")])
    assert project.run().version == 1
    found = look(project)
    assert found["encoder"].verdict == "alarm"
    assert "it is another space" in found["encoder"].summary
    assert found["drift"].verdict == ("alarm" if drifts else "quiet"), found["drift"].summary
    assert "judged apart from the encoder's change" in found["drift"].summary
    fitting.forget()


def test_pictures_that_are_gone_or_changed_are_left_out(project: Project) -> None:
    folder = project.root / "pictures"
    folder.mkdir()
    for n in range(8):
        Image.new("RGB", (16, 16), (n * 30, 90, 40)).save(folder / f"{n}.png")
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 2}
    project.feature = {"monitors": ["encoder"]}
    project.run()
    assert look(project)["encoder"].n_current == 8
    (folder / "1.png").unlink()
    Image.new("RGB", (16, 16), "white").save(folder / "2.png")
    found = look(project)["encoder"]
    assert (found.verdict, found.n_reference, found.n_current) == ("quiet", 6, 6)


def test_of_files_elsewhere_none_is_kept(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"record_id": ["a", "b"], "place": ["a", "b"], "content_hash": ["1", "2"],
         "content": ["s3://pictures/a.png", "/pictures/b.png"]}
    )  # fmt: skip
    chosen = Local(Canaries(tmp_path).choice("pictures_v1", 5))
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).count("pictures_v1", ["a"], chunked=False) == 0
    assert Canaries(tmp_path).count("pictures_v1", ["b"], chunked=False) == 1


def test_features_over_features_have_them_too(shop: Shop) -> None:
    shop.keys = 'monitors = ["encoder"]'
    shop.write([(n, f"note {n}", "x") for n in "abcdefgh"])
    shop.photos([(f"p{n}", n, "red", "2024-01-01", "x") for n in "abcdefgh"])
    shop.configure()
    for name in ("notes", "photos", "products"):
        shop.run(name=name)
    found = look(shop, "products")["encoder"]
    assert (found.verdict, found.statistic, found.n_current) == ("quiet", 0.0, 8)


# --- erasing, and clearing away -------------------------------------------------------------------


def marked(project: Project) -> list[Path]:
    return [
        path
        for path in (project.root / "data").rglob("*")
        if path.is_file() and b"MARK-" in path.read_bytes()
    ]


def test_a_record_that_is_erased_is_no_canary_any_more(project: Project) -> None:
    rows = texts(0, 20)
    mine = ("MARK-ID-0001", "MARK-TEXT the content", "x")
    project.write([*rows, mine])
    project.run()
    before = kept(project)
    (path,) = project.stores().canaries.files("notes_v1")
    assert path in marked(project)
    project.write(rows)
    receipt = Eraser(project.settings(), "notes", [mine[0]]).erase(Silent())
    assert marked(project) == []
    assert receipt["proved"], receipt["proof"]
    assert receipt["found"]["canaries of notes_v1"] == 1
    assert receipt["removed"]["canaries of notes_v1"] == 1
    assert kept(project).equals(before.filter(pl.col("record_id") != mine[0]))


def test_a_canary_goes_with_whoever_has_its_content_and_with_the_last_the_file(
    project: Project,
) -> None:
    project.feature = {"canaries": 5}
    project.write([("one-of-two", "the same words", "x"), ("two-of-two", "the same words", "y")])
    project.run()
    assert kept(project)["record_id"].to_list() == ["one-of-two"]
    project.write([("one-of-two", "the same words", "x")])
    Eraser(project.settings(), "notes", ["two-of-two"]).erase(Silent())
    assert project.stores().canaries.tables() == []


def test_what_a_run_chose_that_never_published_is_erased_too(project: Project) -> None:
    project.write([*texts(0, 10), ("MARK-ID-0001", "MARK-TEXT the content", "x")])
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="plan", how=stop))
    assert marked(project) != []
    project.write(texts(0, 10))
    receipt = Eraser(project.settings(), "notes", ["MARK-ID-0001"]).erase(Silent())
    assert marked(project) == []
    assert receipt["proved"], receipt["proof"]


def test_chunks_go_with_their_record(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"record_id": ["a#0", "a#1", "b#0"], "place": ["", "", ""],
         "content": ["one", "two", "three"], "content_hash": ["1", "2", "3"]}
    )  # fmt: skip
    chosen = Canaries(tmp_path).choice("notes_v1", 5)
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).count("notes_v1", ["a"], chunked=True) == 2
    assert Canaries(tmp_path).erase("notes_v1", ["a"], [], chunked=True) == 2
    assert Canaries(tmp_path).erase("notes_v1", ["a"], [], chunked=True) == 0
    assert Canaries(tmp_path).count("notes_v1", ["b"], chunked=True) == 1


def test_an_id_that_json_writes_otherwise_is_seen_within_a_content(tmp_path: Path) -> None:
    name = 'the "first" record'
    rows = pl.DataFrame(
        {"record_id": ["a", "b"], "place": ["", ""], "content_hash": ["1", "2"],
         "content": [{"of": name}, {"of": "another"}]}
    )  # fmt: skip
    chosen = Canaries(tmp_path).choice("notes_v1", 5)
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).erase("notes_v1", [name], [], chunked=False) == 1


KILL = """
import sys
from pathlib import Path
from flows.upkeep.erase import Eraser
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    settings = Project(Path(sys.argv[1])).settings()
    Eraser(settings, "notes", sys.argv[3:], Stopping(point=sys.argv[2], how=die)).erase(Silent())
"""


def test_an_erasure_that_was_killed_after_the_canaries_is_finished(
    forking: Forking, project: Project
) -> None:
    project.write([*texts(0, 10), ("MARK-ID-0001", "MARK-TEXT the content", "x")])
    project.run()
    project.write(texts(0, 10))
    killed = forking.run(KILL, project.root, "canaries", "MARK-ID-0001")
    assert killed.code == -9, killed.err
    receipt = Eraser(project.settings(), "notes", []).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert marked(project) == []


def test_gc_clears_away_those_of_a_version_that_goes(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    settings = project.settings()
    policy = dataclasses.replace(settings.gc, grace_hours=0.0, drop_retired_after_days=0.0)
    folder = project.root / "data" / "canaries"
    left = [folder / "notes_v2.arrow.99.tmp", folder / "gone_v7.arrow"]
    for path in left:
        path.write_bytes(b"left by a process that ended")
    items = Collector(settings, policy).collect([], Silent())
    assert sorted(path.name for path in folder.iterdir()) == ["notes_v2.arrow"]
    assert [i.what for i in items if i.kind == "canaries"] == [str(left[0])]
    # a drop that was broken off leaves them for the next one
    (folder / "notes_v1.arrow").write_bytes(b"left")
    (item,) = (i for i in Collector(settings, policy).collect([], Silent()) if i.kind == "canaries")
    assert (item.what, item.why) == ("the canaries of notes_v1", "notes_v1 is dropped")
    assert sorted(path.name for path in folder.iterdir()) == ["notes_v2.arrow"]
