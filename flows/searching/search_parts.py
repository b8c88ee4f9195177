"""Searching a feature over others by queries of its parts, each encoded as that part is.

A part is compared with the queries of its modality, and records by the parts that were asked for
alone: what was not said of a query tells nothing of how near a record is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError
from encoders.vectors import Placed, column
from flows.config.stores import Stores
from flows.pipeline import over
from flows.searching.narrowing import ANY, Narrow
from flows.searching.queries import QUERIES, SearchError, encode, own_encoder
from flows.searching.search import Searched, check_k, live, ordered
from storage.within import nearest_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from encoders.base import Encoder
    from encoders.vectors import Part
    from flows.config.settings import Settings
    from storage.model import Version

    Asked = dict[str, NDArray[np.float32]]


def search(
    settings: Settings, name: str, queries: Mapping[str, str], k: int, narrow: Narrow = ANY
) -> pa.Table:
    """The k records nearest to queries of some parts, nearest first.

    Args:
        settings: the configuration.
        name: a feature over others.
        queries: one a modality, as `flows.searching.search.search` takes it: ``text``, ``image``,
            ``audio`` or ``row``.
        k: how many records.
        narrow: which rows may be found, and how.

    Returns:
        As `flows.searching.search.search`.

    Raises:
        SearchError: if the feature has no live version, a query is of no part's modality, parts
            cannot be searched by themselves, or k is under 1.
    """
    check_k(k)
    stores = Stores.of(settings)
    searched = Searched(settings, stores, *live(settings, stores, name), narrow)
    return ordered(nearest_by_parts(searched, queries, k))


def nearest_by_parts(searched: Searched, queries: Mapping[str, str], k: int) -> pa.Table:
    """As `search`, in one published state; the columns in any order."""
    settings, stores, version = searched.settings, searched.stores, searched.version
    parts = over.parts_of(version)
    if not parts:
        raise SearchError(
            f"{version.feature} is not over other features, so a search of it takes one query"
        )
    asked = asked_of(settings, stores, version, queries)
    encoder = own_encoder(settings, version)
    vector = fused(encoder, version, asked)
    dims = _dims(encoder, version, parts, asked)
    if dims is None:
        return searched.nearest([vector], k)
    return nearest_within(stores.vectors, searched.state, vector, dims, k, searched.condition())


def asked_of(
    settings: Settings, stores: Stores, version: Version, queries: Mapping[str, str]
) -> Asked:
    """The vectors of the queries, by the parts of a version that they are of.

    Raises:
        SearchError: if a query is of no part.
    """
    takes: dict[str, list[str]] = {}
    asked: Asked = {}
    for part in over.parts_of(version):
        made = over.made_by(part, stores.catalog)
        takes[part.feature] = _takes(stores, made)
        vector = vector_of(settings, stores, made, queries)
        if vector is not None:
            asked[part.feature] = vector
    strange = sorted(set(queries) - {one for each in takes.values() for one in each})
    if strange:
        known = ", ".join(
            f"{name} ({', '.join(f'--{modality}' for modality in each)})"
            for name, each in takes.items()
            if each
        )
        if not known:
            raise SearchError(
                f"{version.feature} has no part that takes a query by {strange[0]}, or by anything "
                "else that can be said of a record; search it with --id"
            )
        raise SearchError(
            f"{version.feature} has no part that takes a query by {strange[0]}; its parts: "
            f"{known}. Search it by these, or by --id"
        )
    return asked


def _takes(stores: Stores, version: Version) -> list[str]:
    """What queries a version takes; those of its parts where it is over others.

    None for nodes of graphs, and who met whom: no query says what is around one.
    """
    if version.modality != "vector":
        query = "row" if version.modality == "tabular" else version.modality
        return [query] if query in QUERIES else []
    made = [over.made_by(part, stores.catalog) for part in over.parts_of(version)]
    return list(dict.fromkeys(one for part in made for one in _takes(stores, part)))


def vector_of(
    settings: Settings, stores: Stores, version: Version, queries: Mapping[str, str]
) -> NDArray[np.float32] | None:
    """The vector of the queries in a version's space; None where none of them is for it.

    Raises:
        SearchError: if it takes more queries than there are, or one does not fit.
    """
    if version.modality != "vector":
        for modality in _takes(stores, version):
            if modality in queries:
                return encode(settings, version, modality, queries[modality], alone=False)
        return None
    parts = over.parts_of(version)
    made = {part.feature: over.made_by(part, stores.catalog) for part in parts}
    vectors = {name: vector_of(settings, stores, one, queries) for name, one in made.items()}
    found = {name: vector for name, vector in vectors.items() if vector is not None}
    if not found:
        return None
    if lacking := [name for name in made if name not in found]:
        raise SearchError(
            f"a query must be of all that {version.feature} is made of, to be found by what is "
            f"over that; this one says nothing of {', '.join(lacking)}. Search by --id, or by more "
            "queries"
        )
    return fused(own_encoder(settings, version), version, found)


def fused(encoder: Encoder, version: Version, asked: Asked) -> NDArray[np.float32]:
    """The vector of a record that has the parts that are asked for, and no other."""
    import polars as pl

    nothing = {part.feature: np.zeros(part.dim, np.float32) for part in over.parts_of(version)}
    batch = pl.DataFrame(
        {
            name: column(asked.get(name, zeros)[None], np.array([name in asked]))
            for name, zeros in nothing.items()
        }
    )
    try:
        vector: NDArray[np.float32] = encoder.encode(batch)[0]
    except EncoderError as error:
        raise SearchError(f"the query does not fit {version.table}: {error}") from error
    return vector


def _dims(
    encoder: Encoder, version: Version, parts: list[Part], asked: Asked
) -> list[slice] | None:
    """The dimensions of the parts that are asked for; None where all dimensions count."""
    if len(asked) == len(parts):
        return None
    if not isinstance(encoder, Placed):
        lacking = ", ".join(part.feature for part in parts if part.feature not in asked)
        raise SearchError(
            f"vectors of {version.feature} tell no more what is of which part, so a query must be "
            f"of all; this one says nothing of {lacking}. Search it by --id, or by more queries"
        )
    places = [encoder.place(name) for name in asked]
    found = [place for place in places if place is not None]
    return found if len(found) == len(places) else None
