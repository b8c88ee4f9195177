"""What a user may like: the items whose dot product with the user's vector is the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoders import interactions, registry
from encoders.interactions import FoldsIn
from flows.config.nearest import hint
from flows.config.stores import Stores
from flows.output.progress import listener
from flows.pipeline import versions
from flows.searching.queries import SearchError, own_encoder
from flows.searching.search import check_k
from flows.sources.base import SourceError
from flows.sources.interactions import Interactions
from storage import lookups
from storage.conditions import other_than

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.pipeline.scope import Target
    from flows.searching.asking import Asked, Titles
    from storage.model import Manifest, Version

_NAMED = 3


def recommend(
    settings: Settings,
    name: str,
    asked: Asked,
    k: int,
    *,
    with_seen: bool = False,
    titles: Titles | None = None,
    target: Target = "live",
) -> list[dict[str, Any]]:
    """The k items that a user may like most, best first.

    The vector of a user is the published one. One that is not published yet, but stands in the
    source, is folded in by what is there; so is somebody who is told by items alone.

    Args:
        settings: the configuration.
        name: a feature of interactions.
        asked: whom to recommend to.
        k: how many items.
        with_seen: whether items that the user has met already are among them. Which these are is
            read in the source, as it is now; the store holds no list of them.
        titles: what to show beside the items' ids.
        target: which version's vectors.

    Returns:
        Rows of ``item``, ``score`` (the dot product), ``met`` (by how many users), and ``title``
        where titles are asked for.

    Raises:
        SearchError: if the feature or version has no such vectors, or there is no such user or
            item, or nothing is known by which one could recommend.
        SourceError: if the source cannot be read.
        UsageError: if there is no such version, or no such column of titles.
    """
    check_k(k)
    stores = Stores.of(settings)
    version, manifest = _published(settings, stores, name, target)
    ask = _Ask(settings, stores, version, manifest)
    if asked.user is not None:
        vector, seen = ask.of_user(asked.user, with_seen=with_seen)
    else:
        vector, seen = ask.of_items(asked.items or {})
    hidden = set() if with_seen else set(seen)
    state = (version.table, manifest.lance_version)
    found = stores.vectors.nearest(
        *state, vector, k + len(hidden), version.metric,
        history=version.history, where=other_than("side", "user"),
    )  # fmt: skip
    rows = [
        {"item": row["entity"], "score": 1 - row["distance"], "met": row["met"]}
        for row in found.select(["entity", "distance", "met"]).to_pylist()
        if row["entity"] not in hidden
    ]
    rows = sorted(rows, key=lambda row: (-row["score"], row["item"]))[:k]
    return rows if titles is None else _titled(settings, stores, rows, titles)


@dataclass(frozen=True)
class _Ask:
    """Finds the vector of whoever is asked for, in one published state of a version."""

    settings: Settings
    stores: Stores
    version: Version
    manifest: Manifest

    def of_user(self, user: str, *, with_seen: bool) -> tuple[NDArray[np.float32], Sequence[str]]:
        """The vector of a user, and the items that it has met where these are asked for."""
        state = (self.version.table, self.manifest.lance_version)
        vector = self.stores.vectors.vector(*state, f"user:{user}")
        if vector is not None and with_seen:
            return self._telling(vector, f"user {user!r}"), ()
        try:
            met = self._source().met("user", user)
        except SourceError as error:
            if vector is None:
                raise
            raise type(error)(
                f"what user {user!r} has met cannot be read: {error}; --with-seen ranks all items, "
                "and reads nothing"
            ) from error
        if vector is None and not met:
            raise self._nobody("user", user)
        if vector is None:
            vector = self._folded(met)
            listener().note(
                f"user {user!r} is not in {self.version.table} yet, and was folded in by the "
                f"{len(met):,} items that it has met; `vecmill run {self.version.feature}` adds it"
            )
        return self._telling(vector, f"user {user!r}"), list(met)

    def of_items(
        self, items: Mapping[str, float | None]
    ) -> tuple[NDArray[np.float32], Sequence[str]]:
        """The vector of somebody who likes some items, and these."""
        if not items:
            raise SearchError("--items names no item; expected ids such as 3,7,9")
        ids = [f"item:{item}" for item in items]
        there = lookups.values(
            self.stores.catalog, self.stores.vectors, self.version.table, "entity", ids
        )
        for item in items:
            if f"item:{item}" not in there:
                raise self._nobody("item", item)
        encoder = self._encoder()
        known = encoder.known("item", list(items))
        strange = [repr(item) for item, is_known in zip(items, known, strict=True) if not is_known]
        if strange:
            more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
            are = "is" if len(strange) == 1 else "are"
            names = f"{', '.join(strange[:_NAMED])}{more}"
            told = f"{names} {are} unknown to the fit of {self.version.table}"
            if not known.any():
                raise SearchError(
                    f"{told}, and there is no other item to recommend by; refit with `vecmill run "
                    f"{self.version.feature} --refit`, or name older ones"
                )
            listener().note(f"{told}, and left out of account")
        usual = encoder.liked
        weights = {item: usual if w is None else w for item, w in items.items()}
        return self._telling(self._folded(weights), "who likes these items"), list(items)

    def _folded(self, met: Mapping[str, float]) -> NDArray[np.float32]:
        batch = interactions.batch("user", [list(met)], [list(met.values())])
        vector: NDArray[np.float32] = self._encoder().encode(batch)[0]  # type: ignore[attr-defined] # every FoldsIn is an Encoder
        return vector

    def _encoder(self) -> FoldsIn:
        encoder = own_encoder(self.settings, self.version)
        if not isinstance(encoder, FoldsIn):
            raise SearchError(
                f"{self.version.table} was made by an encoder of kind {self.version.kind!r}, which "
                "cannot fold in users that it has not met; recommend to one that is published"
            )
        return encoder

    def _source(self) -> Interactions:
        feature = self.settings.feature(self.version.feature)
        source = versions.open_source(self.settings, feature, self.version)
        if not isinstance(source, Interactions):
            raise SearchError(
                f"the source {feature.source.name!r} of {feature.name} is of kind "
                f"{feature.source.kind!r}, which does not tell what a user has met; with "
                "--with-seen that need not be known"
            )
        return source

    def _telling(self, vector: NDArray[np.float32], who: str) -> NDArray[np.float32]:
        """The vector, unless it ranks nothing.

        Raises:
            SearchError: if it is zeros.
        """
        if vector.any():
            return vector
        raise SearchError(
            f"nothing is known of {who} by which to recommend: none of the items met was there "
            f"when the encoder of {self.version.table} learned, or none counted; refit with "
            f"`vecmill run {self.version.feature} --refit`"
        )

    def _nobody(self, side: str, entity: str) -> SearchError:
        near = lookups.nearest(
            self.stores.catalog, self.stores.vectors, self.version.table, entity, side
        )
        where = ", nor in its source" if side == "user" else ""
        return SearchError(
            f"there is no {side} {entity!r} in {self.version.table}{where}"
            + (f"; the nearest name is {near!r}" if near is not None else f"; it has no {side}s")
        )


def _published(
    settings: Settings, stores: Stores, name: str, target: Target
) -> tuple[Version, Manifest]:
    """A version of interactions and its published state."""
    feature = settings.feature(name)
    found = (
        stores.catalog.live(name)
        if target == "live"
        else versions.known_version(feature, stores, target, settings.root)
    )
    manifest = stores.catalog.published(found) if found else None
    if found is None or manifest is None:
        from flows.lifecycle.unlive import unlive

        if target == "live":
            raise SearchError(unlive(settings, name))
        raise SearchError(
            f"{name} has no vectors of version {target} yet; run `vecmill run {name}` first"
        )
    if found.modality != "interactions":
        others = [
            other.name
            for other in settings.features.values()
            if registry.modality(other.encoder.kind, other.encoder.params) == "interactions"
        ]
        there = f"; there are: {', '.join(others)}" if others else ", and there is none"
        raise SearchError(
            f"{name} holds {found.modality} vectors of {found.kind!r}; recommend takes a feature "
            f"of interactions{there} (docs/interactions.md)"
        )
    return found, manifest


def _titled(
    settings: Settings, stores: Stores, rows: list[dict[str, Any]], titles: Titles
) -> list[dict[str, Any]]:
    settings.feature(titles.feature)
    known = lookups.columns(stores.catalog, stores.vectors, titles.feature)
    if titles.column not in known:
        raise SearchError(
            f"{titles.feature} has no column {titles.column!r}{hint(titles.column, known)}"
        )
    ids = [row["item"] for row in rows]
    found = lookups.values(stores.catalog, stores.vectors, titles.feature, titles.column, ids)
    return [{**row, "title": found.get(row["item"])} for row in rows]
