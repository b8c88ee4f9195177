"""Nearest records to a query, which is encoded with the version's own encoder and no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flows.config.settings import IndexPolicy
from flows.config.stores import Stores
from flows.searching import nearest_chunks, spaces
from flows.searching.narrowing import ANY, Narrow, condition
from flows.searching.queries import SearchError, encode_parts, note_gap
from storage.vectors import Effort

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from storage.model import Manifest, Version


def search(  # noqa: PLR0913 - one keyword a choice
    settings: Settings,
    name: str,
    modality: str,
    query: str,
    k: int,
    *,
    per_record: bool = False,
    of: str | None = None,
    narrow: Narrow = ANY,
) -> pa.Table:
    """The k records nearest to a query, nearest first.

    Where the query is of another modality than the records, whoever listens
    (`flows.output.progress.listener`) is told what its distances mean.

    Args:
        settings: the configuration.
        name: the feature.
        modality: what the query is: ``text``, ``image`` or ``audio`` (the path of a file),
            ``row`` (a JSON object), or ``id`` (a record of the feature, which is left out of the
            answer). Where rows are chunks, a record is as near as the nearest of its chunks is to
            the nearest of theirs; the id of a chunk searches by that chunk alone, and leaves out
            all of its record. Where rows are windows of recordings, one that is longer than a
            window is cut as they are, and a row is as near as it is to the nearest of its windows.
        query: the query.
        k: how many records, or chunks.
        per_record: where rows are chunks, of each record the nearest one alone.
        of: the feature that an ``id`` is a record of, where that is another one; the two must
            share a space (`flows.searching.spaces`).
        narrow: which rows may be found, and how.

    Returns:
        record_id, distance, then the other columns of the feature's view but its vector. Of a
        feature that keeps a history only what its records are now is found.

    Raises:
        SearchError: if the feature has no live version, or the query does not fit it, or its
            feature shares no space with this one.
        UsageError: if the condition makes no sense.
    """
    check_k(k)
    stores = Stores.of(settings)
    searched = Searched(settings, stores, *live(settings, stores, name), narrow)
    return searched.by(modality, query, k, per_record=per_record, of=of)


@dataclass(frozen=True)
class Searched:
    """One published state of a version, to search.

    Attributes:
        narrow: which rows may be found, and how.
    """

    settings: Settings
    stores: Stores
    version: Version
    manifest: Manifest
    narrow: Narrow = ANY

    def by(
        self,
        modality: str,
        query: str,
        k: int,
        *,
        per_record: bool = False,
        of: str | None = None,
    ) -> pa.Table:
        """As `search`."""
        check_k(k)
        if of is not None and modality != "id":
            raise SearchError(
                f"a feature that the query is of goes with an id, got a query by {modality}"
            )
        if modality == "id" and of not in {None, self.version.feature}:
            found = self._like_other(str(of), query, k, per_record=per_record)
        elif modality == "id":
            found = self._like(query, k, per_record=per_record)
        elif self.version.modality == "vector":
            from flows.searching.search_parts import nearest_by_parts

            found = nearest_by_parts(self, {modality: query}, k)
        else:
            vectors = encode_parts(self.settings, self.version, modality, query)
            found = self.nearest(vectors, k, per_record=per_record)
        return ordered(found)

    def nearest(
        self, vectors: Sequence[NDArray[np.float32]], k: int, *, per_record: bool = False
    ) -> pa.Table:
        """The rows nearest to a vector; or, where rows are chunks, to any of several."""
        if self.version.chunked:
            return self._nearest_chunks(vectors, k, per_record=per_record)
        (vector,) = vectors
        return self.stores.vectors.nearest(
            *self.state, vector, k, self.version.metric,
            history=self.version.history, where=self.condition(), effort=self.effort,
        )  # fmt: skip

    @property
    def state(self) -> tuple[str, int]:
        """The table, and the Lance version of it."""
        return self.version.table, self.manifest.lance_version

    def condition(self) -> str | None:
        """The condition on rows, as Lance takes it.

        Raises:
            UsageError: if no sense can be made of it.
        """
        return self._condition

    @property
    def effort(self) -> Effort | None:
        """How hard to look in an index; None to look at every row."""
        if self.narrow.exact:
            return None
        feature = self.settings.features.get(self.version.feature)
        policy = IndexPolicy() if feature is None else feature.index
        return Effort(self.narrow.probes or policy.probes, policy.refine)

    @cached_property
    def _condition(self) -> str | None:
        return condition(self.stores, self.version, self.manifest, self.narrow)

    def _like(self, record_id: str, k: int, *, per_record: bool) -> pa.Table:
        if self.version.chunked:
            asked = nearest_chunks.of_record(self.stores, self.version, self.manifest, record_id)
            if asked is not None:
                queries, own = asked
                return self._nearest_chunks(queries, k, but=own, per_record=per_record)
        vector = self.stores.vectors.vector(*self.state, record_id)
        if vector is None:
            raise no_record(self.version, record_id)
        found = self.nearest([vector], k + 1)
        return rows_but(found, [row == record_id for row in found["record_id"].to_pylist()])[:k]

    def _like_other(self, of: str, record_id: str, k: int, *, per_record: bool) -> pa.Table:
        """The records nearest to one of another feature that shares the space."""
        asked, state = live(self.settings, self.stores, of)
        apart = spaces.why_apart(self.settings, self.version, asked)
        name = self.version.feature
        if apart:
            raise SearchError(f"{name} cannot be searched by a record of {of}: {apart}")
        vectors = _vectors(self.stores, asked, state, record_id)
        note_gap(self.version.modality, asked.modality)
        if len(vectors) == 1:
            return self.nearest(vectors, k, per_record=per_record)
        if self.version.history:
            raise SearchError(
                f"{record_id!r} of {of} has {len(vectors)} chunks, and {name} keeps a "
                "history; search by one chunk, such as " + repr(f"{record_id}#0")
            )
        return self._nearest_chunks(vectors, k, per_record=per_record)

    def _nearest_chunks(
        self,
        queries: Sequence[NDArray[np.float32]],
        k: int,
        *,
        but: str | None = None,
        per_record: bool,
    ) -> pa.Table:
        return nearest_chunks.nearest(
            self.stores, self.version, self.manifest, queries, k,
            but=but, per_record=per_record, where=self.condition(), effort=self.effort,
        )  # fmt: skip


def ordered(found: pa.Table, first: Sequence[str] = ("record_id", "distance")) -> pa.Table:
    """What was found, some columns before all others."""
    return found.select([*first, *(c for c in found.column_names if c not in first)])


def rows_but(found: pa.Table, own: Sequence[bool]) -> pa.Table:
    """The rows of a table but those that are marked."""
    import pyarrow as pa

    return found.filter(pa.array([not one for one in own], pa.bool_()))


def check_k(k: int) -> None:
    """Refuse to find fewer than one.

    Raises:
        SearchError: says what was asked.
    """
    if k < 1:
        raise SearchError(f"-k must be at least 1, got {k}")


def live(settings: Settings, stores: Stores, name: str) -> tuple[Version, Manifest]:
    """A feature's live version and its published state.

    Raises:
        SearchError: if it has none.
    """
    settings.feature(name)
    version = stores.catalog.live(name)
    manifest = stores.catalog.published(version) if version else None
    if version is None or manifest is None:
        from flows.lifecycle.unlive import unlive

        raise SearchError(unlive(settings, name))
    return version, manifest


def _vectors(
    stores: Stores, version: Version, manifest: Manifest, record_id: str
) -> list[NDArray[np.float32]]:
    """The vectors of a record: one, or where rows are chunks of records one a chunk."""
    if version.chunked:
        chunks = nearest_chunks.of_record(stores, version, manifest, record_id)
        found = chunks[0] if chunks else []
    else:
        vector = stores.vectors.vector(version.table, manifest.lance_version, record_id)
        found = [] if vector is None else [vector]
    if not found:
        raise no_record(version, record_id)
    return found


def no_record(version: Version, record_id: str) -> SearchError:
    """That a version has no record of this id."""
    return SearchError(
        f"{version.feature} has no record {record_id!r}; list some with "
        f"`vecmill sql 'FROM {version.feature} LIMIT 10'`"
    )
