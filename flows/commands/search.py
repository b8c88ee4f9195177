"""The command that finds the nearest records, and those that have the words."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, Flag, Number, app, load
from flows.output.answers import complain, print_json, say, table
from flows.output.codes import FINE, USAGE
from flows.output.visible import beginning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from flows.config.settings import Settings
    from flows.searching.narrowing import Narrow
    from flows.searching.recalled import Recall

_LONGEST = 160
"""Characters of a kept text that a table shows."""
_HIDDEN = frozenset({"content_hash", "encoded_at", "run_id"})


@app.command(group=SEARCH, sort_key=1)
def search(  # noqa: PLR0913 - one option a kind of query
    feature: str,
    /,
    *,
    text: Annotated[str | None, Parameter(metavar="TEXT")] = None,
    image: Annotated[str | None, Parameter(metavar="FILE")] = None,
    audio: Annotated[str | None, Parameter(metavar="FILE")] = None,
    row: Annotated[str | None, Parameter(metavar="JSON")] = None,
    id: Annotated[str | None, Parameter(metavar="ID")] = None,  # noqa: A002 - the option's name
    of: Annotated[str | None, Parameter(metavar="FEATURE")] = None,
    words: Annotated[str | None, Parameter(metavar="TEXT")] = None,
    column: Annotated[str | None, Parameter(name="--in", metavar="COLUMN")] = None,
    where: Annotated[str | None, Parameter(metavar="SQL")] = None,
    k: Number = 10,
    per_record: Flag = False,
    rescore: Annotated[int | None, Parameter(metavar="N")] = None,
    exact: Flag = False,
    probes: Annotated[int | None, Parameter(metavar="N")] = None,
    recall: Flag = False,
    sheet: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find the records nearest to a query, encoded by the live version's own encoder.

    A feature whose encoder puts several modalities into one space takes a query of any of them. A
    feature over others takes one of each of its parts, alone or together. --words finds records by
    what a kept text says; together with a query both rankings are put together by their ranks.

    Parameters
    ----------
    feature
        The feature to search; its records are texts, images, recordings or table rows.
    text
        A text to search by.
    image
        The path of an image to search by.
    audio
        The path of a recording to search by.
    row
        A JSON object of column values to search by, for tabular features.
    id
        A record of the feature to search by; it is left out of the answer. Where rows are chunks
        of records, it is left out with all of them; a chunk's id will do too.
    of
        The feature that --id is a record of, where it is another one that shares the space.
    words
        Words to look for in a kept text: any of them, the rarer and the more of them the better.
    column
        The kept text to look for --words in; all of them where none is named.
    where
        A condition over the kept columns, as in SQL; what does not meet it is not searched.
    k
        How many records to find, or chunks where these are the rows.
    per_record
        Where rows are chunks of records, show of each record the nearest chunk alone.
    rescore
        For a feature over one other, such as one of smaller vectors: find N candidates for each
        record to show, and take of these the nearest by the vectors of that other feature.
    exact
        Look at every row, even where there is an index of the vectors.
    probes
        Cells of an index of vectors to look into, instead of what [features.NAME.index] says: the
        more, the better the recall, and the slower.
    recall
        Tell which share of the true nearest the index finds, over a sample of the records; without
        a query that is all that is done.
    sheet
        Write what was found as an HTML page as well, with the thumbnails that the feature keeps.
    """
    from flows.searching.asked import Asked, answer
    from flows.searching.narrowing import Narrow

    given = {"text": text, "image": image, "audio": audio, "row": row, "id": id}
    queries = {name: value for name, value in given.items() if value is not None}
    settings = load(conf)
    narrow = Narrow(where, exact, probes)
    if recall:
        measured = _recall(settings, feature, k, narrow)
        if not queries and words is None:
            print_json([measured.row()], json=json)
            if not json:
                table([_shown(measured)], list(_shown(measured)))
            return FINE
        say(measured.told())
    asked = Asked(queries, k, words, column, of, per_record, rescore, narrow)
    found = answer(settings, feature, asked)
    if sheet is not None:
        if not queries:
            complain("--sheet shows what a query found; give one beside --words", code=USAGE)
            return USAGE
        from flows.searching.sheet import write_sheet

        write_sheet(settings, feature, next(iter(queries.items())), found, sheet, of=of)
        say(f"wrote {sheet}")
    rows = found.to_pylist()
    print_json(rows, json=json)
    if not rows:
        from flows.searching.unfound import why

        say(why(settings, feature, asked))
    elif not json:
        shown = [_short(row) for row in rows]
        table(*_spans(shown, _columns(found), _modality(settings, feature)), measured=False)
    return FINE


def _columns(found: pa.Table) -> list[str]:
    return [name for name in found.column_names if name not in _HIDDEN]


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a table has room for: of texts their beginnings on one line; --json has all."""
    return {
        name: beginning(value, _LONGEST)
        if isinstance(value, str) and name != "record_id" and not _fits(value)
        else value
        for name, value in row.items()
    }


def _fits(text: str) -> bool:
    return len(text) <= _LONGEST and "\n" not in text


def _recall(settings: Settings, feature: str, k: int, narrow: Narrow) -> Recall:
    import numpy as np

    from flows.config.stores import Stores
    from flows.searching.recalled import recall_of
    from flows.searching.search import Searched, check_k, live

    check_k(k)
    stores = Stores.of(settings)
    searched = Searched(settings, stores, *live(settings, stores, feature), narrow)
    return recall_of(searched, k, np.random.default_rng(0))


def _shown(recall: Recall) -> dict[str, Any]:
    """The measurement as a person reads it."""
    return {
        "feature": recall.feature,
        "index": recall.index or "none",
        "unindexed": recall.unindexed,
        f"recall@{recall.k}": f"{recall.recall:.3f} ± {recall.error:.3f}",
        "records": recall.queries,
        "ms": f"{recall.seconds * 1000:.1f}",
        "exact_ms": f"{recall.exact_seconds * 1000:.1f}",
    }


def _spans(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], modality: str
) -> tuple[Sequence[dict[str, Any]], Sequence[str]]:
    """Rows that are chunks with their place in one column; a table would leave out zeros."""
    from storage.parts import PARTS

    if not {*PARTS.names} <= {*columns}:
        return rows, columns
    unit, scale = ("seconds", 1000) if modality == "audio" else ("characters", 1)
    told = [
        {**row, unit: f"{row[PARTS.start] / scale:.15g}-{row[PARTS.end] / scale:.15g}"}
        for row in rows
    ]
    hidden = {PARTS.whole, PARTS.number, PARTS.start, PARTS.end}
    return told, [*(c for c in columns if c not in hidden), unit]


def _modality(settings: Settings, feature: str) -> str:
    """What the records of a feature's live version are."""
    from flows.config.stores import Stores

    live = Stores.of(settings).catalog.live(feature)
    return "" if live is None else live.modality
