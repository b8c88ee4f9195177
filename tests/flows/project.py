"""A small project with a store of its own, and short ways to run it and look at what is there."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.config.configuration import load
from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from storage import query, standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.engines.engine import Engine
    from flows.pipeline.outcomes import Outcome, Planned
    from flows.pipeline.scope import Scope, Target
    from storage.model import Counts, Version

HEADER = ("id", "text", "label")


@dataclass
class Project:
    """A feature ``notes`` over ``notes.csv``, encoded by the tests' own ``letters``.

    Attributes:
        source, encoder, feature, engine: keys laid over those that the project begins with.
    """

    root: Path
    source: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    feature: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    more: str = ""

    def settings(self) -> Settings:
        """Write the configuration as it stands now, and load it."""
        table: dict[str, Any] = {
            "kind": "table",
            "path": "notes.csv",
            "id": "id",
            "content": "text",
            "keep": ["label"],
        }
        letters = {"kind": "letters", "log": str(self.root / "encoded.jsonl")}
        encoder = self.encoder if "kind" in self.encoder else letters | self.encoder
        source = self.source if "kind" in self.source else table | self.source
        feature = {"source": "notes", "encoder": "mill", "max_dead": 1.0, "max_deleted": 1.0}
        feature |= self.feature
        parts = {
            "engine": {"shard_size": 8, "retries": 0, "wait_seconds": 60.0} | self.engine,
            "sources.notes": source,
            "encoders.mill": encoder,
            "features.notes": feature,
        }
        text = "\n".join(_toml(name, keys) for name, keys in parts.items() if keys)
        text += "\n" + self.more
        path = self.root / "vecmill.toml"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        return load(path)

    def write(self, rows: Iterable[Sequence[object]], header: Sequence[str] = HEADER) -> None:
        """Write the source anew."""
        with (self.root / "notes.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    def run(
        self,
        engine: Engine | None = None,
        name: str = "notes",
        *,
        refit: bool = False,
        target: Target = "configured",
        scope: Scope | None = None,
    ) -> Outcome:
        """One run; holds every run to what counts promise."""
        engine = engine or Direct()
        more: dict[str, Any] = {"refit": refit, "target": target, "scope": scope}
        outcome = pipeline.embed(self.settings(), name, engine, Silent(), **more)
        check_counts(outcome.counts)
        return outcome

    def plan(self) -> Planned:
        """What a run would do."""
        return pipeline.plan(self.settings(), "notes", Silent())

    def stores(self) -> Stores:
        """The project's stores."""
        return Stores.of(self.settings())

    def connect(self) -> duckdb.DuckDBPyConnection:
        """SQL over the store as it is published now."""
        stores = self.stores()
        return query.connect(stores.catalog, stores.vectors)

    def rows(self, view: str = "notes") -> dict[str, dict[str, Any]]:
        """The published rows by record id."""
        with self.connect() as con:
            found = con.sql(f'FROM "{view}"').to_arrow_table().to_pylist()
        rows = {row["record_id"]: row for row in found}
        assert len(rows) == len(found), "a record id stands twice in the published table"
        return rows

    def rows_or_none(self, view: str = "notes") -> dict[str, dict[str, Any]] | None:
        """The published rows, None where nothing is published."""
        with self.connect() as con:
            views = con.sql("SELECT name FROM (SHOW TABLES)").fetchall()
        return self.rows(view) if (view,) in views else None

    def dead(self, *, published: bool = True) -> dict[str, str]:
        """Reasons of the current dead letters by place."""
        sql = "SELECT place, reason FROM dead_letters WHERE published = ?"
        found = self.stores().catalog.query(sql, published)
        return {row["place"]: row["reason"] for row in found.to_pylist()}

    def runs(self) -> list[dict[str, Any]]:
        """The runs, oldest first."""
        sql = "SELECT * FROM runs ORDER BY started_at"
        found: list[dict[str, Any]] = self.stores().catalog.query(sql).to_pylist()
        return found

    def versions(self) -> list[Version]:
        """The feature's versions."""
        return self.stores().catalog.versions("notes")

    def promote(self, number: int) -> None:
        """Make a version live, whatever gates would say."""
        catalog = self.stores().catalog
        assert standings.promote(
            catalog, "notes", number, standings.basis(catalog, "notes", number)
        )

    def encoded(self) -> list[str]:
        """The texts that went through the encoder since this was last asked, sorted."""
        log = self.root / "encoded.jsonl"
        if not log.exists():
            return []
        texts = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        log.unlink()
        return sorted(texts)


def check_counts(counts: Counts) -> None:
    """The two sums that `storage.model.Counts` promises."""
    c = counts
    assert c.records == c.new + c.changed + c.updated + c.unchanged + c.dead, c
    assert c.new + c.changed == c.encoded + c.resumed + c.deduplicated, c
    assert min(c.deduplicated, c.deleted, c.encoded, c.resumed) >= 0, c


def vector(row: Mapping[str, Any]) -> NDArray[np.float32]:
    """The vector of a published row."""
    return np.asarray(row["vector"], np.float32)


def _toml(name: str, keys: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in keys.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value, ensure_ascii=False)
