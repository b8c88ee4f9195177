"""Commands that read vectors: SQL and nearest neighbours."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from flows.answers import complain, print_json, say, table
from flows.codes import FINE, USAGE
from flows.commands._app import AsJson, Conf, Flag, Number, app, load
from flows.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.settings import Settings

Form: TypeAlias = Literal["table", "csv", "json", "parquet"]
AsOf = Annotated[str | None, Parameter(metavar="RUN|TIME")]


@app.command
def sql(
    statement: str,
    /,
    *,
    conf: Conf = None,
    format: Form | None = None,  # noqa: A002 - the option's name
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    as_of: AsOf = None,
) -> int:
    """Run SQL over the published vectors and the catalog, in DuckDB.

    Parameters
    ----------
    statement
        A statement; each feature is a view of its name, each version one such as articles_v3.
    format
        How rows are written; without it as the ending of --output says, else as a table.
    output
        The file to write to, instead of standard output.
    as_of
        Show the store as it was when this run was published, or at this time.
    """
    form = format or _form_of(output)
    if form == "table" and output is not None:
        complain(f"a table is for people to read; name a format for {output}: csv, json, parquet")
        return USAGE
    if form == "parquet" and output is None and sys.stdout.isatty():
        complain("parquet is binary; write it to a file with --output FILE")
        return USAGE
    from flows.stores import Stores
    from storage import moments, query

    stores = Stores.of(load(conf))
    moment = moments.moment_of(stores.catalog, as_of) if as_of else None
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        relation = query.run(con, statement)
        if form == "table":
            from flows.console import out

            found = visible(query.as_table(relation, out.width))
            print(found, end="")  # noqa: T201 - the result
        else:
            query.export(relation, form, output)
    return FINE


@app.command
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
    k: Number = 10,
    per_record: Flag = False,
    rescore: Annotated[int | None, Parameter(metavar="N")] = None,
    sheet: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find the records nearest to a query, encoded by the live version's own encoder.

    A feature whose encoder puts several modalities into one space takes a query of any of them. A
    feature over others takes one of each of its parts, alone or together.

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
    k
        How many records to find, or chunks where these are the rows.
    per_record
        Where rows are chunks of records, show of each record the nearest chunk alone.
    rescore
        For a feature over one other, such as one of smaller vectors: find N candidates for each
        record to show, and take of these the nearest by the vectors of that other feature.
    sheet
        Write what was found as an HTML page as well, with the thumbnails that the feature keeps.
    """
    from flows.search import search as find
    from flows.search_parts import search as find_by_parts

    given = {"text": text, "image": image, "audio": audio, "row": row, "id": id}
    queries = [(name, value) for name, value in given.items() if value is not None]
    settings = load(conf)
    several = len(queries) > 1 and settings.feature(feature).over is not None and id is None
    if len(queries) != 1 and not several:
        complain(
            f"a search takes one of --text, --image, --audio, --row and --id, got {len(queries)}"
        )
        return USAGE
    if rescore is not None:
        if of is not None:
            complain("--rescore goes with a query or an --id of the feature itself; leave --of out")
            return USAGE
        from flows.rescoring import search as find_rescored

        found = find_rescored(settings, feature, dict(queries), k, rescore)
    elif several:
        found = find_by_parts(settings, feature, dict(queries), k)
    else:
        found = find(settings, feature, *queries[0], k, per_record=per_record, of=of)
    if sheet is not None:
        from flows.sheet import write_sheet

        write_sheet(settings, feature, queries[0], found, sheet, of=of)
        say(f"wrote {sheet}")
    rows = found.to_pylist()
    print_json(rows, json=json)
    if not json:
        hidden = {"content_hash", "encoded_at", "run_id"}
        shown = [c for c in found.column_names if c not in hidden]
        table(*_spans(rows, shown, _modality(settings, feature)))
    return FINE


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
    from flows.stores import Stores

    live = Stores.of(settings).catalog.live(feature)
    return "" if live is None else live.modality


def _form_of(output: Path | None) -> Form:
    """The format that a file's ending asks for."""
    forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    return "table" if output is None else forms.get(output.suffix.lower(), "table")
