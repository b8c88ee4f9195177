"""What somebody searches for: queries, words, what narrows it; and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows import hybrid
from flows.narrowing import ANY, Narrow
from flows.queries import SearchError
from flows.search import Searched, check_k, live
from flows.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from flows.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What to search for.

    Attributes:
        queries: by what they are (``text``, ``image``, ``audio``, ``row``, ``id``): one, or of a
            feature over others one a part.
        k: how many rows.
        words: to look for in a kept text, alone or beside the queries.
        column: the kept text to look in; None where there is but one.
        of: the feature that an ``id`` is a record of, where it is another.
        per_record: where rows are chunks, of each record the nearest one alone.
        rescore: candidates for each row to find, ordered by whole vectors; None for no such step.
        narrow: which rows may be found, and how.
    """

    queries: Mapping[str, str] = field(default_factory=dict)
    k: int = 10
    words: str | None = None
    column: str | None = None
    of: str | None = None
    per_record: bool = False
    rescore: int | None = None
    narrow: Narrow = ANY

    def __post_init__(self) -> None:
        check_k(self.k)
        if self.words is None and self.column is not None:
            raise SearchError("--in says where to look for --words; give these too")
        if self.words is not None and self.per_record:
            raise SearchError("--per-record cannot be together with --words, which finds chunks")
        if self.rescore is not None and self.of is not None:
            raise SearchError(
                "--rescore goes with a query or an --id of the feature itself; leave --of out"
            )


def answer(settings: Settings, name: str, asked: Asked) -> pa.Table:
    """The rows of a feature that are asked for, best first.

    Returns:
        As `flows.search.search`; with words alone as `flows.hybrid.by_words`, with both as
        `flows.hybrid.fused`.

    Raises:
        SearchError: if nothing is asked, or too much at once, or it does not fit the feature.
        UsageError: if the condition makes no sense.
    """
    stores = Stores.of(settings)
    if asked.words is None:
        return _near(settings, stores, name, asked, asked.k)
    searched = Searched(settings, stores, *live(settings, stores, name), asked.narrow)
    if not asked.queries:
        return hybrid.by_words(searched, asked.words, asked.column, asked.k)
    many = hybrid.depth(asked.k)
    worded = hybrid.by_words(searched, asked.words, asked.column, many)
    return hybrid.fused(_near(settings, stores, name, asked, many), worded, asked.k)


def _near(settings: Settings, stores: Stores, name: str, asked: Asked, k: int) -> pa.Table:
    """The k rows nearest to the queries."""
    several = len(asked.queries) > 1 and settings.feature(name).over and "id" not in asked.queries
    if len(asked.queries) != 1 and not several:
        raise SearchError(
            "a search takes one of --text, --image, --audio, --row and --id, got "
            f"{len(asked.queries)}"
        )
    if asked.rescore is not None:
        from flows.rescoring import search as rescored

        return rescored(settings, name, asked.queries, k, asked.rescore, asked.narrow)
    searched = Searched(settings, stores, *live(settings, stores, name), asked.narrow)
    if several:
        from flows.search import ordered
        from flows.search_parts import nearest_by_parts

        return ordered(nearest_by_parts(searched, asked.queries, k))
    ((modality, query),) = asked.queries.items()
    return searched.by(modality, query, k, per_record=asked.per_record, of=asked.of)
