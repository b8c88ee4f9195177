"""The command that reads vectors and the catalog by SQL."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, app, load
from flows.output.answers import complain, print_json, say
from flows.output.codes import FINE, USAGE
from flows.output.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.session import Session

Form: TypeAlias = Literal["table", "csv", "json", "parquet"]
AsOf = Annotated[str | None, Parameter(metavar="RUN|TIME")]


@app.command(usage="Usage: vecmill sql [OPTIONS] [STATEMENT]", group=SEARCH, sort_key=2)
def sql(
    statement: str | None = None,
    /,
    *,
    conf: Conf = None,
    format: Form | None = None,  # noqa: A002 - the option's name
    output: Annotated[Path | None, Parameter(name=["-o", "--output"], metavar="FILE")] = None,
    as_of: AsOf = None,
    json: AsJson = False,
) -> int:
    """Run SQL over the published vectors and the catalog, in DuckDB.

    Each feature is a view of its name, each version one such as articles_v3; files of your own and
    knn('articles', 'a query', 10), the nearest to a query, are tables too. Without a statement it
    is a shell, or reads statements from a pipe.

    Parameters
    ----------
    statement
        A statement; without one they are typed, each ended by a semicolon.
    format
        How rows are written; without it as the ending of --output says, else as a table.
    output
        The file to write to, instead of standard output.
    as_of
        Show the store as it was when this run was published, or at this time.
    """
    if json and (format is not None or output is not None):
        told = "--json prints an object a line; for a file or an array, --format json"
        complain(told, code=USAGE)
        return USAGE
    form = format or _form_of(output)
    if form == "table" and output is not None:
        complain(
            f"a table is for people to read; name a format for {output}: csv, json, parquet",
            code=USAGE,
        )
        return USAGE
    if statement is None and output is not None:
        complain(
            "--output takes the rows of one statement; give it, or write COPY ... TO in each",
            code=USAGE,
        )
        return USAGE
    if form == "parquet" and output is None and sys.stdout.isatty():
        complain("parquet is binary; write it to a file with --output FILE", code=USAGE)
        return USAGE
    from flows.session import Session
    from storage import query

    with Session(load(conf), as_of) as session:

        def show(text: str) -> None:
            relation = session.relation(text)
            if json:
                for batch in query.table(relation).to_batches(max_chunksize=1000):
                    print_json(batch.to_pylist(), json=True)
            elif form == "table":
                from flows.output.console import out

                print(visible(query.as_table(relation, out.width, text)), end="")  # noqa: T201 - the result
            else:
                query.export(relation, form, output)

        if statement is None:
            return _shell(session, show)
        show(statement)
    return FINE


def _shell(session: Session, show: Callable[[str], None]) -> int:
    """Statements that are typed, or that a pipe gives."""
    from flows.searching.shell import Shell, history_file, piped, prompted

    if not sys.stdin.isatty():
        return Shell(session, show, piped(), typed=False).run()
    say("SQL over the store as it is published now; .help says more, .quit leaves")
    with prompted(history_file()) as read:
        return Shell(session, show, read, typed=True).run()


def _form_of(output: Path | None) -> Form:
    """The format that a file's ending asks for."""
    forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    return "table" if output is None else forms.get(output.suffix.lower(), "table")
