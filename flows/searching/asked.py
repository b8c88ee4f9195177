"""What somebody searches for: queries, words, what narrows it; and the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.searching import hybrid
from flows.searching.narrowing import ANY, Narrow
from flows.searching.queries import SearchError
from flows.searching.search import Searched, check_k, live, ordered, rows_but

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from flows.config.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What to search for.

    Attributes:
        queries: by what they are (``text``, ``image``, ``audio``, ``row``, ``id``): one, or of a
            feature over others one a part.
        k: how many rows.
        words: to look for in a kept text, alone or beside the queries.
        column: the kept text to look in; None for all.
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
        if self.words is not None and not self.words.strip():
            raise SearchError("the words to search for are empty")
        if self.words is not None and self.per_record:
            raise SearchError("--per-record cannot be together with --words, which finds chunks")
        if self.rescore is not None and self.of is not None:
            raise SearchError(
                "--rescore goes with a query or an --id of the feature itself; leave --of out"
            )


def answer(settings: Settings, name: str, asked: Asked) -> pa.Table:
    """The rows of a feature that are asked for, best first.

    Returns:
        As `flows.searching.search.search`; with words alone as `flows.searching.hybrid.by_words`,
        with both as `flows.searching.hybrid.fused`.

    Raises:
        SearchError: if nothing is asked, or too much at once, or it does not fit the feature.
        UsageError: if the condition makes no sense.
    """
    _refuse_others(asked, parts=settings.feature(name).over is not None)
    stores = Stores.of(settings)
    return answer_in(Searched(settings, stores, *live(settings, stores, name), asked.narrow), asked)


def answer_in(searched: Searched, asked: Asked) -> pa.Table:
    """As `answer`, in one published state of a version."""
    searched.condition()  # which may be wrong, and costs less than an encoder that is loaded first
    if asked.words is None:
        return _near(searched, asked, asked.k)
    columns = hybrid.text_columns(searched, asked.column)
    if not asked.queries:
        return hybrid.by_words(searched, asked.words, columns, asked.k)
    many = hybrid.depth(asked.k)
    worded = _others(searched, hybrid.by_words(searched, asked.words, columns, many), asked)
    return hybrid.fused(_near(searched, asked, many), worded, asked.k)


def _others(searched: Searched, found: pa.Table, asked: Asked) -> pa.Table:
    """The rows without those of the record that is searched by, as among the nearest."""
    version, record_id = searched.version, asked.queries.get("id")
    if record_id is None or asked.of not in {None, version.feature}:
        return found
    rows = found["record_id"].to_pylist()
    if version.chunked:  # whose rows are called by their record and a number
        record_id, rows = _record(record_id), [_record(row) for row in rows]
    return rows_but(found, [row == record_id for row in rows])


def _record(row: str) -> str:
    return re.sub("#[0-9]+$", "", row)


def _near(searched: Searched, asked: Asked, k: int) -> pa.Table:
    """The k rows nearest to the queries."""
    settings, name = searched.settings, searched.version.feature
    _refuse_others(asked, parts=searched.version.modality == "vector")
    if asked.rescore is not None:
        from flows.searching.rescoring import search as rescored

        return rescored(settings, name, asked.queries, k, asked.rescore, asked.narrow)
    if len(asked.queries) > 1:
        from flows.searching.search_parts import nearest_by_parts

        return ordered(nearest_by_parts(searched, asked.queries, k))
    ((modality, query),) = asked.queries.items()
    return searched.by(modality, query, k, per_record=asked.per_record, of=asked.of)


def _refuse_others(asked: Asked, *, parts: bool) -> None:
    """Refuse what is no query, or several where a feature has no parts that each could be of."""
    number = len(asked.queries)
    several = parts and number > 1 and "id" not in asked.queries
    if number == 1 or several or (number == 0 and asked.words is not None):
        return
    if not number:
        raise SearchError(
            "there is nothing to search for; give one of --text, --image, --audio, --row and --id, "
            "or --words"
        )
    given = " and ".join(f"--{query}" for query in asked.queries)
    raise SearchError(
        f"a search takes one of --text, --image, --audio, --row and --id, got {given}; leave out "
        "all but one"
    )
