"""``knn(...)`` in SQL: the records nearest to a query, or that have some words, as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.config.nearest import hint
from flows.searching.asked import Asked, answer_in
from flows.searching.narrowing import Narrow
from flows.searching.queries import QUERIES, SearchError
from flows.searching.search import Searched, check_k, ordered
from storage import views
from storage.calls import Function

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from storage.query import Connection

NAME, REQUIRED = "knn", "feature"
OPTIONAL = {
    "query": "NULL", "k": "10", "filter": "NULL", "words": "NULL", "field": "NULL",
    "text": "NULL", "image": "NULL", "audio": "NULL", "row": "NULL", "id": "NULL",
    "exact": "false", "per_record": "false", "probes": "NULL",
}  # fmt: skip
"""Names that SQL takes unquoted; ``filter`` is --where of `vecmill search`, ``field`` is --in."""


def knn(settings: Settings, stores: Stores, con: Connection) -> Function:
    """The function, over what a session shows.

    Its arguments are the feature or a version such as ``articles_v2``, the query, and k. The query
    is a text (the path of a file, or a row as JSON, where the feature is of such), or a vector; or
    it is said by name what it is: ``id := 'n1'``, ``image := 'cat.jpg'``. ``words``, ``field``,
    ``filter``, ``exact``, ``probes`` and ``per_record`` are the options of `vecmill search`.

    Args:
        settings: the configuration.
        stores: its places.
        con: the session; the states that it shows are searched.
    """

    def answer(given: Mapping[str, Any]) -> pa.Table:
        return found(settings, stores, Seen.of(con), given)

    return Function(NAME, REQUIRED, OPTIONAL, answer)


@dataclass(frozen=True)
class Seen:
    """What a session shows.

    Attributes:
        shown: versions.
        missing: names that it does not have, and why.
    """

    shown: Sequence[views.Shown]
    missing: Mapping[str, str]

    @classmethod
    def of(cls, con: Connection) -> Seen:
        """What a session of this process shows."""
        return cls(views.shown(con), views.missing(con))


def found(settings: Settings, stores: Stores, seen: Seen, given: Mapping[str, Any]) -> pa.Table:
    """The table of a call.

    Args:
        settings: the configuration.
        stores: its places.
        seen: the states that are searched.
        given: the arguments by name, as `knn` has them.

    Raises:
        SearchError: if they make no sense, or do not fit the feature.
        UsageError: if the condition makes no sense.
    """
    probes = None if given["probes"] is None else _whole(given, "probes")
    narrow = Narrow(_text(given, "filter"), _flag(given, "exact"), probes)
    searched = _shown(settings, stores, seen, str(given["feature"]), narrow)
    queries = {n: _said(given[n]) for n in (*QUERIES, "id") if given[n] is not None}
    k, query = _whole(given, "k"), given["query"]
    if query is not None and not isinstance(query, str):
        return _by_vector(searched, query, k)
    if query is not None:
        kind = searched.version.modality
        kind = {"tabular": "row", "vector": "text"}.get(kind, kind)
        queries.setdefault(kind, query)
    words, field = _text(given, "words"), _text(given, "field")
    if not queries and words is None:
        raise SearchError("knn() needs a query: knn('articles', 'a text', 10), or id := 'n1'")
    asked = Asked(
        queries, k, words, field, per_record=_flag(given, "per_record"), narrow=narrow
    )  # fmt: skip
    return answer_in(searched, asked)


def _said(query: Any) -> str:  # noqa: ANN401 - as SQL gives it
    """A query as `vecmill search` takes it: a row as JSON, an id that is a number as text."""
    return json.dumps(query, default=str) if isinstance(query, dict) else str(query)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given[name]
    if value is None or isinstance(value, str):
        return value
    raise SearchError(f"knn() takes a text as its {name}, got {value!r}")


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given[name]
    if value is None or isinstance(value, bool):
        return bool(value)
    raise SearchError(f"knn() takes true or false as its {name}, got {value!r}")


def _whole(given: Mapping[str, Any], name: str) -> int:
    value = given[name]
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise SearchError(f"knn() takes a whole number as its {name}, got {value!r}")


def _shown(settings: Settings, stores: Stores, seen: Seen, name: str, narrow: Narrow) -> Searched:
    """The state that a session shows of a feature or version."""
    found = next((view for view in seen.shown if name in view.names), None)
    if found is None:
        known = [one for view in seen.shown for one in view.names]
        away = seen.missing.get(name)
        why = f": {away}" if away else hint(name, known)
        raise SearchError(f"knn() finds no vectors of {name!r}{why}")
    versions = stores.catalog.versions(found.feature)
    version = next(version for version in versions if version.version == found.version)
    manifests = stores.catalog.manifests(version)
    manifest = next(m for m in reversed(manifests) if m.lance_version == found.lance_version)
    return Searched(settings, stores, version, manifest, narrow)


def _by_vector(searched: Searched, query: Any, k: int) -> pa.Table:  # noqa: ANN401 - as SQL gives it
    """The rows nearest to a vector that SQL has."""
    check_k(k)
    try:
        vector = np.asarray(query, np.float32)
    except (TypeError, ValueError) as error:
        raise SearchError(f"knn() takes a text or a vector as its query, got {query!r}") from error
    if vector.shape != (searched.version.dim,):
        raise SearchError(
            f"the vectors of {searched.version.table} are {searched.version.dim} wide, the query "
            f"of knn() has the shape {vector.shape}"
        )
    return ordered(searched.nearest([vector], k))
