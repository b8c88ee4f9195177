"""Where one record's vectors come from: which encoder, run, source and content made each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flows.config.settings import PartOf
from flows.config.stores import Stores
from flows.lifecycle.promotion import known
from flows.lifecycle.recipes import about
from flows.pipeline import over
from storage import parts, standings
from storage.aligned import own_by
from storage.model import UsageError
from storage.pairs import State, nearest_ids, rows_of
from storage.parts import PARTS, parent_of
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from flows.config.settings import Settings
    from flows.sources.base import Source
    from storage.model import Manifest, Version
    from storage.standings import Change

_RUN = """
SELECT run_id, kind, status, started_at, finished_at, code_version FROM runs WHERE run_id = ?
"""
_DEAD = """
SELECT version, place, reason, stage, content_hash, run_id, since, published FROM dead_letters
WHERE feature = $1 AND record_id = $2 AND ($3 IS NULL OR version = $3) ORDER BY version, place
"""
_FEATURE = "SELECT source, encoder FROM features WHERE feature = ?"


@dataclass(frozen=True)
class Content:
    """A content that a version holds, or held, of a record.

    Attributes:
        run: the run that wrote it, as the catalog has it; None where it has not.
        held_by: the runs whose published states hold it and can still be read.
        row_id: what its row goes by: the id of the record, or of a chunk of it.
        span: where the chunk begins and ends in the content, in `Trace.unit`; None of a record.
        kept: what is kept beside the vector, by column; its thumbnail is not among it.
    """

    content_hash: str
    event_time: datetime | None
    encoded_at: datetime | None
    run_id: str
    run: Mapping[str, Any] | None
    held_by: tuple[str, ...]
    row_id: str = ""
    span: tuple[int, int] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """What a version says of a record.

    Attributes:
        then: its standing once the run that wrote the vector was published.
        standing: its standing now.
        differs: how its recipe differs from the live version's, in a few words.
        content: the current content; where rows are chunks, the first of ``chunks``.
        before: earlier contents, newest first, where the version keeps a history.
        chunks: where rows are chunks, those of the record, or the one that was asked for.
        whole: the hash of all of the record's content; of a chunk's row that of its record's.
        unit: what the spans of chunks are counted in.
        parts: of a feature over others what made the vectors that this was made of, as they stand
            in the versions that it is over; a part that they have no more is left out.
    """

    version: int
    table: str
    standing: str
    then: str
    fingerprint: str
    encoder: str
    model: str | None
    differs: str
    state: str | None
    metric: str
    dim: int
    code_version: str | None
    content: Content
    before: tuple[Content, ...] = ()
    chunks: tuple[Content, ...] = ()
    whole: str = ""
    unit: str = PARTS.unit
    parts: tuple[Lineage, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """All that the store knows of one record of a feature.

    Attributes:
        source: the name of its source in the configuration, when it was last run.
        source_kind: its kind, None where the configuration has it no more.
        traces: one a version that holds a vector of it.
        dead: its dead letters, as the catalog has them.
        place: where it stands in the source now, in words; None where nobody looked.
    """

    feature: str
    record_id: str
    source: str | None
    source_kind: str | None
    traces: tuple[Trace, ...]
    dead: tuple[Mapping[str, Any], ...]
    place: str | None = None

    def row(self) -> dict[str, Any]:
        """As one nested row of plain values."""
        return asdict(self)


def lineage(
    settings: Settings,
    name: str,
    record_id: str,
    number: int | None = None,
    *,
    place: bool = False,
) -> Lineage:
    """Trace the vectors of one record to what made them.

    Args:
        settings: the configuration; the feature may be in the catalog alone.
        name: the feature.
        record_id: the record, or a chunk of one; where it is both, the record.
        number: the version to look at, all that can be read where none is given.
        place: read the source, up to where the record stands, to say where that is.

    Raises:
        UsageError: if no such version holds the record, and it is no dead letter either.
    """
    stores = Stores.of(settings)
    known(settings, stores, name)
    versions = stores.catalog.versions(name)
    if number is not None and number not in {version.version for version in versions}:
        raise UsageError(standings.no_version(name, number, [v.version for v in versions]))
    asked = [version for version in versions if number in {None, version.version}]
    changes = standings.log(stores.catalog, name)
    live = next((version for version in versions if version.standing == "live"), None)
    traces = [_trace(stores, version, live, changes, record_id) for version in asked]
    found = tuple(
        replace(trace, parts=_parts(settings, stores, version, record_id, place=place))
        for version, trace in zip(asked, traces, strict=True)
        if trace is not None
    )
    own = _record(found, record_id)
    dead = tuple(stores.catalog.query(_DEAD, name, own, number).to_pylist())
    if not found and not dead:
        raise UsageError(_not_there(stores, name, asked, record_id))
    configured = settings.features.get(name)
    noted = stores.catalog.query(_FEATURE, name).to_pylist()
    source = noted[0]["source"] if noted else configured.source.name if configured else None
    same = configured is not None and configured.source.name == source
    return Lineage(
        feature=name,
        record_id=record_id,
        source=source,
        source_kind=configured.source.kind if configured and same else None,
        traces=found,
        dead=dead,
        place=_place(settings, name, asked[-1], own, found) if place else None,
    )


def _parts(
    settings: Settings, stores: Stores, version: Version, record_id: str, *, place: bool
) -> tuple[Lineage, ...]:
    """What made the vectors that a record of a feature over others was made of."""
    configured = settings.features.get(version.feature)
    named = configured.over.parts if configured and configured.over else ()
    found: list[Lineage] = []
    for part in over.parts_of(version):
        own = over.version_of(part, stores.catalog)
        manifest = None if own is None else stores.catalog.published(own)
        if own is None or manifest is None:
            continue
        as_named = next((p for p in named if p.feature == part.feature), PartOf(part.feature))
        side = over.side_of(as_named, own, manifest.lance_version)
        found += [
            lineage(settings, own.feature, own_id, own.version, place=place)
            for own_id in sorted(own_by(stores.vectors, side, [record_id]))
        ]
    return tuple(found)


def _record(traces: Sequence[Trace], asked: str) -> str:
    """The record that was asked for, be it by a chunk of it."""
    chunks = {chunk.row_id for trace in traces for chunk in trace.chunks}
    whole = any(not trace.chunks for trace in traces)
    return parent_of(asked) if chunks == {asked} and not whole else asked


def _trace(
    stores: Stores,
    version: Version,
    live: Version | None,
    changes: Sequence[Change],
    record_id: str,
) -> Trace | None:
    manifests = stores.catalog.manifests(version)
    readable = [manifest for manifest in manifests if manifest.forgotten_at is None]
    if version.dropped_at is not None or not readable:
        return None
    newest = readable[-1]
    state = State(version.table, newest.lance_version, version.history, version.chunked)
    rows = rows_of(stores.vectors, state, record_id)
    contents = tuple(_content(stores, row, readable, version) for row in rows)
    if not contents:
        return None
    model = version.params.get("model")
    return Trace(
        version=version.version,
        table=version.table,
        standing=version.standing,
        then=standing_after(changes, version.version, manifests, contents[0].run_id),
        fingerprint=version.fingerprint,
        encoder=version.kind,
        model=model if isinstance(model, str) else None,
        differs=about(version.recipe, live.recipe) if live else "",
        state=version.state,
        metric=version.metric,
        dim=version.dim,
        code_version=version.code_version,
        content=contents[0],
        before=() if version.chunked else contents[1:],
        chunks=contents if version.chunked else (),
        whole=rows[0][PARTS.whole if version.chunked else "content_hash"],
        unit=parts.of(version.modality).unit,
    )


def _content(
    stores: Stores, row: Mapping[str, Any], manifests: Sequence[Manifest], version: Version
) -> Content:
    wrote = stores.catalog.query(_RUN, row["run_id"]).to_pylist()
    ours = {*SYSTEM_COLUMNS, THUMBNAIL, *(PARTS.names if version.chunked else ())}
    # The row stays until another takes its place, so each state since the run's has it.
    since = next((m.lance_version for m in manifests if m.run_id == row["run_id"]), 0)
    return Content(
        content_hash=row["content_hash"],
        event_time=row["event_time"],
        encoded_at=row["encoded_at"],
        run_id=row["run_id"],
        run=wrote[0] if wrote else None,
        held_by=tuple(m.run_id for m in manifests if m.lance_version >= since),
        row_id=row["record_id"],
        span=(row[PARTS.start], row[PARTS.end]) if version.chunked else None,
        kept={name: value for name, value in row.items() if name not in ours},
    )


def standing_after(
    changes: Sequence[Change], number: int, manifests: Sequence[Manifest], run_id: str
) -> str:
    """A version's standing once a run of it was published.

    Args:
        changes: the log of its feature.
        number: the version.
        manifests: all of the version's, oldest first.
        run_id: the run.
    """
    at = next((place for place, m in enumerate(manifests) if m.run_id == run_id), 0)
    later = manifests[at + 1].published_at if at + 1 < len(manifests) else None
    standing = "candidate"
    for change in changes:
        if change.version != number:
            continue
        # Made live by being published is to be live at once, though it is logged a moment later.
        until = later if change.action == "publish" else manifests[at].published_at
        if until is None or change.changed_at <= until:
            standing = change.standing
    return standing


def _not_there(stores: Stores, name: str, versions: Sequence[Version], record_id: str) -> str:
    searched = [
        (version, manifest)
        for version in versions
        if version.dropped_at is None and (manifest := stores.catalog.published(version))
    ]
    if not searched:
        return f"{name} has no published version to look in; run `vecmill run {name}` first"
    version, manifest = next((s for s in searched if s[0].standing == "live"), searched[-1])
    state = State(version.table, manifest.lance_version, version.history, version.chunked)
    near = ", ".join(map(repr, nearest_ids(stores.vectors, state, record_id)))
    tables = ", ".join(version.table for version, _ in searched)
    hint = f"; the nearest ids: {near}" if near else ", which is empty"
    return f"{name} has no record {record_id!r}, nor a dead letter of it, in {tables}{hint}"


def _place(
    settings: Settings, name: str, version: Version, record_id: str, traces: Sequence[Trace]
) -> str:
    """Where a record stands in the source now, read up to there."""
    from flows.pipeline.versions import open_source

    if name not in settings.features:
        return f"{name} is in the configuration no more, so its source cannot be read"
    feature = settings.feature(name)
    base, _, nth = record_id.partition("#")
    hashes = {trace.whole for trace in traces}
    # Equal contents without an id of their own are told apart by their number.
    wanted, left = (base, int(nth)) if nth.isdecimal() and base in hashes else (record_id, 1)
    for place, content_hash in _standing_at(open_source(settings, feature, version), wanted):
        left -= 1
        if left == 0:
            now = "with the same content" if content_hash in hashes else "with another content now"
            return f"{place}, {now}" if traces else place
    return f"the source {feature.source.name!r} has no such record now"


def _standing_at(source: Source, record_id: str) -> Iterator[tuple[str, str]]:
    for chunk in source.scan():
        same = chunk.records.filter(chunk.records["record_id"] == record_id)
        yield from same.select("place", "content_hash").iter_rows()
