"""Smaller vectors of a feature: run, searched, rescored, measured, and kept up like any other."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from encoders.base import EncoderUsageError
from flows.analysis import reduced
from flows.cli import run_command
from flows.config.settings import Gc, SettingsError
from flows.lifecycle import promotion as lifecycle
from flows.monitoring.looking import monitor
from flows.output.progress import Silent, listening
from flows.pipeline import backfills
from flows.pipeline import stages as pipeline
from flows.pipeline.scope import Scope
from flows.searching import rescoring
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.upkeep.checkup import look
from flows.upkeep.gc import Collector
from storage.model import UsageError
from tests.flows.plugins import installed
from tests.flows.project import Project, vector
from tests.flows.shop import Heard, unit

if TYPE_CHECKING:
    from collections.abc import Iterator

N, WIDE = 60, 32
NONE_STAYS = Gc(1, 0, drop_retired_after_days=0, grace_hours=0, compact_fragments=2)
CONF = """
[encoders.int8]
kind = "quantize"
quantile = 0.0

[encoders.bits]
kind = "quantize"
bits = 1

[encoders.first]
kind = "truncate"
dim = 16
{first}

[features.small]
over = [{over}]
encoder = "int8"

[features.tiny]
over = [{over}]
encoder = "bits"

[features.short]
over = [{over}]
encoder = "first"

[features.shortest]
over = ["short"]
encoder = "bits"
"""
REDUCED = ("small", "tiny", "short", "shortest")


def texts(n: int = N) -> list[tuple[str, str, str]]:
    return [(f"r{i:02d}", f"text {i}", "x") for i in range(n)]


def configure(project: Project, over: str = '"notes"', first: str = "matryoshka = true") -> None:
    project.encoder |= {"dim": WIDE}
    project.more = CONF.format(over=over, first=first)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A feature of texts, and four of smaller vectors of it."""
    with installed():
        project = Project(tmp_path_factory.mktemp("reduced"))
        project.write(texts())
        configure(project)
        for name in ("notes", *REDUCED):
            project.run(name=name)
        yield project


@pytest.fixture
def notes(project: Project, built: Project) -> Project:
    """A copy of that, to do with as one likes."""
    shutil.copytree(built.root, project.root, dirs_exist_ok=True)
    configure(project)
    return project


def found(table: Any) -> list[tuple[str, float]]:  # noqa: ANN401 - pyarrow ships no types
    return list(zip(table["record_id"].to_pylist(), table["distance"].to_pylist(), strict=True))


def ids(table: Any) -> list[str]:  # noqa: ANN401 - as above
    return list(table["record_id"].to_pylist())


def matrix(project: Project, view: str) -> Any:  # noqa: ANN401 - an array
    rows = project.rows(view)
    return np.stack([vector(rows[key]) for key in sorted(rows)])


def test_vectors_in_sql_are_those_of_the_encoder(notes: Project) -> None:
    whole = np.stack([unit(text, WIDE) for _, text, _ in texts()])
    ranges = np.ptp(np.vstack([whole, np.zeros(WIDE)]), axis=0)
    assert (np.abs(matrix(notes, "small") - whole) <= ranges / 254 + 1e-6).all()
    np.testing.assert_array_equal(matrix(notes, "tiny"), np.where(whole > whole.mean(0), 1, -1))
    cut = whole[:, :16] / np.linalg.norm(whole[:, :16], axis=1, keepdims=True)
    np.testing.assert_allclose(matrix(notes, "short"), cut, atol=1e-6)
    np.testing.assert_array_equal(matrix(notes, "shortest"), np.where(cut > cut.mean(0), 1, -1))


def test_what_the_tables_hold(notes: Project) -> None:
    stores = notes.stores()
    expected = {"small": ("int8", 32), "tiny": ("uint8", 4), "short": ("float", 16),
                "shortest": ("uint8", 2)}  # fmt: skip
    for name, (item, width) in expected.items():
        kind = stores.vectors.head(f"{name}_v1").schema.field("vector").type
        assert (str(kind.value_type), kind.list_size) == (item, width)
    with notes.connect() as con:
        dims = dict(con.sql("SELECT feature, dim FROM versions").fetchall())
    assert dims == {"notes": 32, "small": 32, "tiny": 32, "short": 16, "shortest": 16}


@pytest.mark.parametrize("name", REDUCED)
def test_a_query_goes_through_the_parents_encoder_and_then_through_its_own(
    notes: Project, name: str
) -> None:
    by_text = found(search(notes.settings(), name, "text", "text 7", N))
    assert by_text[0][0] == "r07"
    assert by_text[0][1] == pytest.approx(0, abs=2e-4)
    by_id = found(search(notes.settings(), name, "id", "r07", N))
    assert [one for _, one in by_id] == pytest.approx([one for _, one in by_text[1:]], abs=2e-4)
    assert len(by_id) == N - 1


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("query", [{"text": "another text"}, {"id": "r07"}])
def test_rescored_over_all_a_search_is_that_of_the_whole_vectors(
    notes: Project, name: str, query: dict[str, str]
) -> None:
    [(modality, asked)] = query.items()
    expected = found(search(notes.settings(), "notes", modality, asked, 12))
    with listening(heard := Heard()):
        table = rescoring.search(notes.settings(), name, query, 12, N)
    rescored = found(table)
    assert [one for one, _ in rescored] == [one for one, _ in expected]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in expected], atol=1e-6)
    assert heard.notes == ["distances are those of notes_v1, by cosine"]
    plain = search(notes.settings(), name, modality, asked, 12)
    assert table.schema.names == plain.schema.names
    assert table["run_id"].to_pylist() == [notes.rows(name)["r01"]["run_id"]] * 12


def test_rows_that_go_by_other_ids_end_the_way_down(project: Project) -> None:
    project.write([(f"r{i}", f"text {i}", f"name {i}") for i in range(20)])
    project.encoder |= {"dim": WIDE}
    over = '["notes"]\nencoder = "first"'
    named = '[{ feature = "notes", id = "label" }]\nencoder = "first"'
    again = '[{ feature = "short", id = "label" }]\nencoder = "bits"'
    for short, shortest, whole in ((named, '["short"]\nencoder = "bits"', "notes_v1"),
                                   (over, again, "short_v1")):  # fmt: skip
        configure(project)
        project.more = project.more.replace(over, short)
        project.more = project.more.replace('["short"]\nencoder = "bits"', shortest)
        for name in ("notes", "short", "shortest"):
            project.run(name=name, scope=Scope(allow_deletes=True))
        with listening(heard := Heard()):
            table = rescoring.search(project.settings(), "shortest", {"text": "text 3"}, 20, 1)
        assert heard.notes == [f"distances are those of {whole}, by cosine"]
        assert ids(table)[0] == "name 3"
        assert sorted(ids(table)) == sorted(f"name {i}" for i in range(20))


def test_rescoring_puts_candidates_in_order_and_adds_none(notes: Project) -> None:
    candidates = ids(search(notes.settings(), "tiny", "text", "text 3", 10))
    order = ids(search(notes.settings(), "notes", "text", "text 3", N))
    some = rescoring.search(notes.settings(), "tiny", {"text": "text 3"}, 5, 2)
    assert ids(some) == [one for one in order if one in set(candidates)][:5]


def test_rescoring_goes_by_the_vectors_that_the_version_was_made_of(notes: Project) -> None:
    old = found(search(notes.settings(), "notes", "text", "text 3", 5))
    notes.encoder |= {"revision": 2}
    notes.run()
    lifecycle.promote(notes.settings(), "notes", 2)
    assert found(search(notes.settings(), "notes", "text", "text 3", 5)) != old
    rescored = found(rescoring.search(notes.settings(), "tiny", {"text": "text 3"}, 5, N))
    assert [one for one, _ in rescored] == [one for one, _ in old]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in old], atol=1e-6)
    lifecycle.retire(notes.settings(), "notes", 1)
    Collector(notes.settings(), NONE_STAYS).collect(["notes"], Silent())
    assert len(rescoring.search(notes.settings(), "tiny", {"id": "r03"}, 4, N)) == 4


def test_records_that_are_gone_from_the_whole_are_left_out(notes: Project) -> None:
    notes.write(texts()[:-3])
    notes.run()
    table = rescoring.search(notes.settings(), "tiny", {"text": "x"}, N, 1)
    assert sorted(ids(table)) == [one for one, _, _ in texts()[:-3]]
    with pytest.raises(SearchError, match="notes has no record 'r59'"):
        rescoring.search(notes.settings(), "tiny", {"id": "r59"}, 3, 4)
    with pytest.raises(SearchError, match="tiny has no record 'r99'"):
        rescoring.search(notes.settings(), "tiny", {"id": "r99"}, 3, 4)


@pytest.mark.parametrize(("kind", "history"), [("str", False), ("int", True), ("date", False)])
def test_records_that_go_by_a_column_of_the_parent(
    project: Project,
    kind: str,
    history: bool,  # noqa: FBT001 - a parameter
) -> None:
    values = {
        "str": lambda i: f"name {i}",
        "int": lambda i: str(1000 - i),
        "date": lambda i: f"2026-01-{1 + i:02d}",
    }
    project.source |= {"keep": ["Part of"], "types": {"Part of": kind}, "event_time": "at"}
    project.feature |= {"history": history}
    header = ("id", "text", "Part of", "at")
    configure(project, '{ feature = "notes", id = "Part of" }')
    for day, text in ((1, "was"), (2, "text")):
        rows = [(f"r{i}", f"{text} {i}", values[kind](i), f"2026-02-{day:02d}") for i in range(20)]
        project.write(rows, header)
        project.run()
    project.run(name="tiny")
    expected = found(search(project.settings(), "notes", "text", "text 3", 5))
    names = {f"r{i}": values[kind](i) for i in range(20)}
    rescored = found(rescoring.search(project.settings(), "tiny", {"text": "text 3"}, 5, 20))
    assert [one for one, _ in rescored] == [names[one] for one, _ in expected]
    like = rescoring.search(project.settings(), "tiny", {"id": values[kind](3)}, 4, 20)
    assert ids(like) == [names[one] for one, _ in expected[1:]]
    measured = reduced.measure(project.settings(), "tiny")
    assert measured.queries == 20
    assert measured.recalls[-1].mean == 1


def test_of_a_history_what_records_are_now_counts(project: Project) -> None:
    project.source |= {"event_time": "label"}
    project.feature |= {"history": True}
    configure(project)
    for day, revised in ((1, "text"), (2, "other")):
        project.write([(f"r{i:02d}", f"{revised} {i}", f"2026-01-{day:02d}") for i in range(20)])
        project.run()
    project.run(name="tiny")
    expected = found(search(project.settings(), "notes", "text", "other 3", 20))
    rescored = found(rescoring.search(project.settings(), "tiny", {"text": "other 3"}, 20, 1))
    assert [one for one, _ in rescored] == [one for one, _ in expected]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in expected], atol=1e-6)
    measured = reduced.measure(project.settings(), "tiny").recalls
    assert measured[-1].mean == 1
    assert measured[0].mean == pytest.approx(brute(project, "tiny", "notes", 1), abs=0.05)


def test_columns_that_are_kept_anew_are_written_with_the_same_vectors(notes: Project) -> None:
    before = {name: matrix(notes, name).tobytes() for name in ("small", "tiny")}
    notes.source |= {"keep": ["label", "text"]}
    for name in ("notes", *before):
        assert notes.run(name=name).counts.encoded == 0
    assert {name: matrix(notes, name).tobytes() for name in before} == before
    assert notes.rows("tiny")["r03"]["text"] == "text 3"
    held = notes.stores().vectors.head("tiny_v1").schema.field("vector").type
    assert held.list_size == WIDE // 8


def test_what_cannot_be_rescored(notes: Project, capsys: pytest.CaptureFixture[str]) -> None:
    settings = notes.settings()
    with pytest.raises(UsageError, match="notes is over a source, and only what is over one"):
        rescoring.search(settings, "notes", {"text": "x"}, 3, 4)
    with pytest.raises(SearchError, match="--rescore must be at least 1, got 0"):
        rescoring.search(settings, "tiny", {"text": "x"}, 3, 0)
    with pytest.raises(SearchError, match="notes takes no such query; search by --id"):
        rescoring.search(settings, "tiny", {}, 3, 4)
    with pytest.raises(SearchError, match=r"no part .* by row; its parts: short \(--text\)"):
        rescoring.search(settings, "shortest", {"row": "{}"}, 3, 4)
    conf = ["--conf", str(settings.conf)]
    asked = ["search", "tiny", "--id", "r01", "--of", "small", "--rescore", "4"]
    assert run_command([*asked, *conf]) == 2
    assert "leave --of out" in capsys.readouterr().err


def brute(project: Project, name: str, parent: str, factor: int) -> float:
    """Recall at 10 over all records, by sorting all distances."""
    truth, candidates = nearest(project, parent, 10), nearest(project, name, 10 * factor)
    both = zip(truth, candidates, strict=True)
    return float(np.mean([len({*near} & {*some}) / 10 for near, some in both]))


def nearest(project: Project, view: str, k: int) -> Any:  # noqa: ANN401 - an array
    rows = matrix(project, view).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ rows.T
    np.fill_diagonal(near, -np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize(
    ("name", "bytes_", "ratio"), [("small", 32, 4), ("tiny", 4, 32), ("shortest", 2, 64)]
)
def test_the_report_says_what_is_kept_and_saved(
    notes: Project, name: str, bytes_: int, ratio: float,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    conf = ["--conf", str(notes.settings().conf)]
    assert run_command(["reduced", name, "--json", *conf]) == 0
    whole, *rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert (whole["feature"], whole["recall@10"], whole["smaller"]) == ("notes", 1.0, 1.0)
    assert [row["rescore"] for row in rows] == [None, 2, 4, 8]
    assert {row["feature"] for row in rows} == {name}
    recalls = [row["recall@10"] for row in rows]
    # Signs are often equally far, and whichever of such rows comes first counts.
    close = 0.002 if name == "small" else 0.05
    expected = [brute(notes, name, "notes", factor) for factor in reduced.FACTORS]
    assert recalls == pytest.approx(expected, abs=close)
    assert recalls == sorted(recalls)
    assert {(row["vector_bytes"], row["smaller"]) for row in rows} == {(bytes_, ratio)}
    assert rows[0]["bytes"] < whole["bytes"]
    again = reduced.measure(notes.settings(), name).table()
    assert [row["recall@10"] for row in again[1:]] == recalls
    assert run_command(["reduced", name, *conf]) == 0
    assert "recall@10" in capsys.readouterr().out


def test_the_report_of_what_cannot_be_measured(notes: Project) -> None:
    settings = notes.settings()
    with pytest.raises(UsageError, match="notes is over a source"):
        reduced.measure(settings, "notes")
    with pytest.raises(UsageError, match="--sample must be 1 to 5,000, got 0"):
        reduced.measure(settings, "tiny", size=0)
    notes.write([("other", "another", "x")])
    notes.run()
    with pytest.raises(UsageError, match="tiny_v1 and notes_v1 have no record in common"):
        reduced.measure(settings, "tiny")


def test_the_report_says_that_a_feature_lags_behind(notes: Project) -> None:
    notes.write(texts(N + 5))
    notes.run()
    found = reduced.measure(notes.settings(), "tiny")
    assert any("tiny_v1 has 60 rows, notes_v1 65" in one for one in found.sentences())


def test_changes_arrive_and_upkeep_leaves_vectors_as_they_are(notes: Project) -> None:
    changed = [("r00", "another", "x"), *texts()[1:-2], ("new", "new text", "y")]
    notes.write(changed)
    for name in ("notes", *REDUCED):
        counts = notes.run(name=name).counts
        assert (counts.new, counts.changed, counts.deleted, counts.encoded) == (1, 1, 2, 2)
    before = {name: matrix(notes, name).tobytes() for name in REDUCED}
    assert vector(notes.rows("tiny")["new"]).shape == (WIDE,)
    Collector(notes.settings(), NONE_STAYS).collect(["notes", *REDUCED], Silent())
    assert {name: matrix(notes, name).tobytes() for name in REDUCED} == before
    held = notes.stores().vectors.head("tiny_v1").schema.field("vector").type
    assert held.list_size == WIDE // 8
    assert {check.state for check in look(notes.settings())} == {"fine"}


def test_versions_are_compared_promoted_and_rolled_back(
    notes: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = notes.settings()
    old = matrix(notes, "small").tobytes()
    notes.more = notes.more.replace(
        'kind = "quantize"\nquantile = 0.0', 'kind = "quantize"\nbits = 1'
    )
    notes.run(name="small")
    conf = ["--conf", str(notes.settings().conf)]
    assert run_command(["compare", "small", "1", "2", "--json", *conf]) == 0
    told = capsys.readouterr().out
    assert '"bytes_per_vector": 32' in told
    assert '"bytes_per_vector": 4' in told
    lifecycle.promote(notes.settings(), "small", 2)
    assert set(np.unique(matrix(notes, "small"))) == {-1, 1}
    lifecycle.rollback(notes.settings(), "small")
    assert matrix(notes, "small").tobytes() == old
    assert settings.feature("small").name == "small"


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_monitors_look_at_the_vectors(notes: Project, name: str) -> None:
    said = {row.monitor: row for row in monitor(notes.settings(), name, Silent())}
    assert said["health"].verdict == "quiet"
    assert said["health"].n_current == N


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_exports_are_of_float32(notes: Project, name: str) -> None:
    conf = ["--conf", str(notes.settings().conf)]
    target = notes.root / "rows.parquet"
    assert run_command(["export", name, "--output", str(target), *conf]) == 0
    rows = pl.read_parquet(target).sort("record_id")
    np.testing.assert_array_equal(rows["vector"].to_numpy(), matrix(notes, name))


def test_erasing_a_record_reaches_them(notes: Project) -> None:
    conf = ["--conf", str(notes.settings().conf)]
    notes.write(texts()[1:])
    assert run_command(["erase", "notes", "--id", "r00", "--yes", *conf]) == 0
    for name in REDUCED:
        assert "r00" not in notes.rows(name)
        assert len(notes.rows(name)) == N - 1
    sql = "SELECT feature, receipt FROM erasures"
    receipts = notes.stores().catalog.query(sql).to_pylist()
    assert {row["feature"] for row in receipts} == {"notes", *REDUCED}
    assert all(json.loads(row["receipt"])["proved"] for row in receipts)


def test_what_is_refused_before_anything_is_encoded(project: Project) -> None:
    project.write(texts())
    configure(project, first="")
    project.run()
    with pytest.raises(EncoderUsageError, match="not known to have their main directions first"):
        pipeline.plan(project.settings(), "short", Silent())
    configure(project, over='"notes", "small"')
    with pytest.raises(SettingsError, match="in a circle"):
        project.settings()
    project.more = project.more.replace('encoder = "int8"', 'encoder = "mill"', 1)
    project.more = project.more.replace('over = ["notes", "small"]', 'over = ["notes"]')
    with pytest.raises(SettingsError, match=r"choose one of kind .*'fuse' or .*'quantize' or "):
        project.settings()


def test_windows_of_time_can_be_filled(project: Project) -> None:
    project.source |= {"event_time": "label"}
    project.write(
        [(key, text, f"2026-01-{1 + i % 28:02d}") for i, (key, text, _) in enumerate(texts())]
    )
    configure(project)
    project.run()
    since, until = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 8))
    project.run(name="tiny", scope=Scope("backfill", since, until))
    assert len(project.rows("tiny")) == 18
    late = datetime(2026, 1, 12, tzinfo=UTC)
    planned = backfills.plan(project.settings(), "tiny", backfills.Asked(until, late), Silent())
    assert sum(window.predicted_records or 0 for window in planned) == 8
    project.run(name="tiny")
    assert len(project.rows("tiny")) == N
    assert set(np.unique(matrix(project, "tiny"))) == {-1, 1}
