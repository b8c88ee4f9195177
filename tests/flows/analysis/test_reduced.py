"""Smaller vectors of a feature: run, measured, and kept up like any other."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from encoders.base import EncoderUsageError
from flows.analysis import reduced
from flows.cli import run_command
from flows.config.settings import SettingsError
from flows.lifecycle import promotion as lifecycle
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.pipeline import backfills
from flows.pipeline import stages as pipeline
from flows.pipeline.scope import Scope
from flows.upkeep.checkup import look
from flows.upkeep.gc import Collector
from storage.model import UsageError
from tests.flows.analysis.reducing import (
    NONE_STAYS,
    REDUCED,
    WIDE,
    N,
    brute,
    configure,
    matrix,
    texts,
)
from tests.flows.project import Project, vector
from tests.flows.shop import unit


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


def test_columns_that_are_kept_anew_are_written_with_the_same_vectors(notes: Project) -> None:
    before = {name: matrix(notes, name).tobytes() for name in ("small", "tiny")}
    notes.source |= {"keep": ["label", "text"]}
    for name in ("notes", *before):
        assert notes.run(name=name).counts.encoded == 0
    assert {name: matrix(notes, name).tobytes() for name in before} == before
    assert notes.rows("tiny")["r03"]["text"] == "text 3"
    held = notes.stores().vectors.head("tiny_v1").schema.field("vector").type
    assert held.list_size == WIDE // 8


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
