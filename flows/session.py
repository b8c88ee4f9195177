"""A session over the store: SQL and search together, for command lines, notebooks and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import polars as pl
    import pyarrow as pa

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from storage.query import Connection, Relation


_SHOWN = """
SELECT s.feature, s.version, m.rows, v.kind AS encoder, v.dim, m.published_at
FROM vecmill.shown s JOIN manifests m USING (run_id) JOIN versions v
ON v.feature = s.feature AND v.version = s.version WHERE s.live ORDER BY s.feature
"""


class Session:
    """What is published, as it was when the session began; `refresh` looks again.

    It holds no lock, however long it lasts, and is used within a ``with`` or closed by `close`.
    """

    def __init__(self, settings: Settings, as_of: str | None = None) -> None:
        from flows.config.stores import Stores

        self._settings = settings
        self._stores: Stores = Stores.of(settings)
        self._as_of = as_of
        self._open = True
        self.connection: Connection = self._connected()

    def relation(self, statement: str) -> Relation:
        """What statements give, of which one gives rows, as DuckDB's own relation.

        Raises:
            QueryError: if DuckDB refuses it.
            SearchError: if a call of ``knn`` in it (`flows.searching.knn`) cannot be answered.
        """
        from flows.searching.knn import knn
        from storage import query

        self._check_open()
        functions = [knn(self._settings, self._stores, self.connection)]
        return query.run(self.connection, statement, functions)

    def sql(self, statement: str) -> pa.Table:
        """The rows that a statement gives, as an Arrow table; vectors are fixed-size lists.

        Raises:
            QueryError, SearchError: as `relation` does; a row that fails, too.
        """
        from storage import query

        return query.table(self.relation(statement))

    def polars(self, statement: str) -> pl.DataFrame:
        """The rows that a statement gives, as a Polars frame, without a copy of Arrow's columns.

        Raises:
            QueryError, SearchError: as `sql` does.
        """
        import polars as pl

        return pl.DataFrame(self.sql(statement))

    def search(self, feature: str, query: Any = None, k: int = 10, **more: Any) -> pa.Table:  # noqa: ANN401 - as knn() takes them
        """The records of a feature nearest to a query, best first, as an Arrow table.

        Args:
            feature: a feature, or a version of one such as ``articles_v2``.
            query: a text; the path of a file or a row as JSON, where the records are of such; or a
                vector ``(dim,)``.
            k: how many.
            more: what `flows.searching.knn` takes: ``text``, ``image``, ``audio``, ``row`` or
                ``id`` instead of a query; ``words``, ``field``, ``filter``, ``exact``, ``probes``,
                ``per_record``.

        Raises:
            SearchError: if the query does not fit.
            TypeError: if there is no such argument.
            UsageError: if the condition makes no sense.
        """
        from flows.searching.knn import knn

        self._check_open()
        function = knn(self._settings, self._stores, self.connection)
        unknown = sorted(set(more) - set(function.optional))
        if unknown:
            from flows.config.nearest import hint

            raise TypeError(f"search takes no {unknown[0]!r}{hint(unknown[0], function.optional)}")
        nothing = dict.fromkeys(function.optional)
        return function.answer(nothing | {"feature": feature, "query": query, "k": k} | more)

    def refresh(self) -> None:
        """Show what is published by now; tables of one's own in the session are gone."""
        self.close()
        self.connection = self._connected()
        self._open = True

    def close(self) -> None:
        """End the session; what it gave stays."""
        self._open = False
        self.connection.close()

    def _check_open(self) -> None:
        if not self._open:
            from storage.query import QueryError

            raise QueryError("this session is closed; `flows.connect()` begins another")

    def _connected(self) -> Connection:
        from storage import moments, query

        catalog = self._stores.catalog
        moment = moments.moment_of(catalog, self._as_of) if self._as_of else None
        return query.connect(catalog, self._stores.vectors, moment)

    def __repr__(self) -> str:
        """What can be asked for, on one line."""
        moment = "now" if self._as_of is None else self._as_of
        return f"<Vecmill session: {', '.join(self._features()) or 'nothing published'}; {moment}>"

    def _repr_html_(self) -> str:
        """What can be asked for, as a notebook shows it."""
        from flows.output.notebook import html

        if not self._open:
            return repr(self)
        return html(self.connection.sql(_SHOWN).to_arrow_table())

    def _features(self) -> list[str]:
        if not self._open:
            return ["closed"]
        return [row[0] for row in self.connection.sql(_SHOWN).fetchall()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def connect(conf: Path | str | None = None, *, as_of: str | None = None) -> Session:
    """A session over the store that a configuration names.

    In a notebook the Arrow tables that it gives are shown as tables from then on.

    Args:
        conf: the configuration file; without it ``$VECMILL_CONF``, or else ``conf/base.toml``.
        as_of: show the store as it was when this run was published, or at this time.

    Raises:
        SettingsError: if the configuration cannot be used.
        StorageError: if the store cannot be read.
    """
    from pathlib import Path

    from flows.config.configuration import load
    from flows.output.notebook import show_tables_as_html

    show_tables_as_html()
    return Session(load(None if conf is None else Path(conf)), as_of)
