"""The command that reads vectors and the catalog by SQL."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from flows.answers import complain
from flows.codes import FINE, USAGE
from flows.commands._app import Conf, app, load
from flows.visible import visible

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


def _form_of(output: Path | None) -> Form:
    """The format that a file's ending asks for."""
    forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    return "table" if output is None else forms.get(output.suffix.lower(), "table")
