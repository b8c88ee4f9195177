"""The command line. Results go to standard output, everything else to standard error.

Exit codes: 0 fine, 1 a run failed, 2 usage or configuration, 3 a finding; 130 after Ctrl-C and 141
where the reader of a pipe has left, as shells have it.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter

from flows.answers import complain, explain_plan, listing, print_json, say, table, told
from flows.codes import FAILED, FINDING, FINE, INTERRUPTED, UNREAD, USAGE, report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.settings import Settings

Conf = Annotated[
    Path | None,
    Parameter(
        name="--conf",
        metavar="FILE",
        help="Configuration file; without it $VECMILL_CONF, or else conf/base.toml.",
    ),
]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print JSON, an object a line."),
]
IsDirect = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Run in this process, without Prefect and its API server.",
    ),
]
Number = Annotated[int, Parameter(name=["-k", "--limit"], metavar="N")]

Form: TypeAlias = Literal["table", "csv", "json", "parquet"]


def _version() -> str:
    from importlib.metadata import version

    return version("vecmill")


app = App(
    name="vecmill",
    help="Raw records in, versioned vectors out: embedded once, queried by SQL, watched for drift.",
    version=_version,
    help_on_error=False,
    suppress_keyboard_interrupt=False,  # Ctrl-C is told of in our words
)

_COUNTS = (
    "feature", "version", "standing", "records", "new", "changed", "updated", "unchanged",
    "deleted", "deduplicated", "encoded", "resumed", "dead", "seconds",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = run_command(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted; Python would complain of it at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNREAD
    sys.exit(code)


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    _quieten()
    try:
        code = app(
            argv, exit_on_error=False, print_error=True, result_action="return_value",
        )  # fmt: skip
    except CycloptsError:
        return USAGE
    except KeyboardInterrupt:
        complain("interrupted; nothing half done is published, and the next run goes on from here")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - every error becomes a message and an exit code
        return report(error)
    return code if isinstance(code, int) else FINE


@app.command(usage="Usage: vecmill plan [OPTIONS] [FEATURES...]")
def plan(*features: str, conf: Conf = None, json: AsJson = False) -> int:
    """Show what a run would do, with the expected time, and write nothing.

    Parameters
    ----------
    features
        The features to plan; all where none is named.
    """
    from flows import pipeline
    from flows.console import reporting

    settings = _load(conf)
    rows = []
    with reporting() as reporter:
        for name in _chosen(settings, features):
            rows.append(pipeline.plan(settings, name, reporter).row())
            print_json(rows[-1:], json=json)
    if not json:
        table(rows, _COUNTS)
        explain_plan(rows)
    return FINE


@app.command(usage="Usage: vecmill run [OPTIONS] [FEATURES...]")
def run(
    *features: str,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = False,
    refit: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Bring features up to date: plan, encode what is new or changed, commit, publish, monitor.

    A feature that fails does not keep the others from running.

    Parameters
    ----------
    features
        The features to run; all where none is named.
    refit
        Let encoders that learn do so again, which makes a new version.
    """
    from flows.console import reporting
    from flows.runner import runner

    settings = _load(conf)
    worst = FINE
    rows = []
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        for name in _chosen(settings, features):
            findings = []
            try:
                row = carry_out.embed(name, refit=refit)
                rows.append(row)
                # A run that wrote nothing has nothing new to be looked at.
                if settings.feature(name).monitors and row["new"] + row["changed"]:
                    findings = carry_out.monitor(name, row["version"])
            except Exception as error:  # noqa: BLE001 - the other features have a right to their run
                report(error, name)
                worst = FAILED
            if rows and rows[-1]["feature"] == name:
                print_json(rows[-1:], json=json)
            for finding in findings:
                reporter.note(told(name, finding))
                if finding["verdict"] == "alarm" and worst == FINE:
                    worst = FINDING
    if not json and rows:
        table(rows, _COUNTS)
    return worst


@app.command
def monitor(
    feature: str,
    /,
    *,
    version: Annotated[int | None, Parameter(metavar="N")] = None,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = False,
) -> int:
    """Compare what a feature's last run wrote with what stood before it.

    The exit code is 3 where a monitor raises an alarm.

    Parameters
    ----------
    feature
        The feature to look at.
    version
        The version to look at, instead of the live one.
    """
    from flows.console import reporting
    from flows.runner import runner

    settings = _load(conf)
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        findings = carry_out.monitor(feature, version)
    print_json(findings, json=json)
    if not json:
        listing(findings, ("monitor", "verdict", "p_value", "effect_size", "n_reference",
                            "n_current"), "summary")  # fmt: skip
        for finding in findings:
            if finding["verdict"] == "alarm" and finding["record_ids"]:
                say(f"{finding['monitor']}, clearest records: {', '.join(finding['record_ids'])}")
    alarms = any(finding["verdict"] == "alarm" for finding in findings)
    return FINDING if alarms else FINE


@app.command
def sql(
    statement: str,
    /,
    *,
    conf: Conf = None,
    format: Form | None = None,  # noqa: A002 - the option's name
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
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
    """
    form = format or _form_of(output)
    if form == "table" and output is not None:
        complain(f"a table is for people to read; name a format for {output}: csv, json, parquet")
        return USAGE
    if form == "parquet" and output is None and sys.stdout.isatty():
        complain("parquet is binary; write it to a file with --output FILE")
        return USAGE
    from flows.stores import Stores
    from storage import query

    stores = Stores.of(_load(conf))
    with query.connect(stores.catalog, stores.vectors) as con:
        relation = query.run(con, statement)
        if form == "table":
            from flows.console import out

            print(query.as_table(relation, out.width), end="")  # noqa: T201 - the result
        else:
            query.export(relation, form, output)
    return FINE


def _form_of(output: Path | None) -> Form:
    """The format that a file's ending asks for."""
    forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    return "table" if output is None else forms.get(output.suffix.lower(), "table")


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
    k: Number = 10,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find the records nearest to a query, encoded by the live version's own encoder.

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
        A record of the feature to search by; it is left out of the answer.
    k
        How many records to find.
    """
    from flows.search import search as find

    given = {"text": text, "image": image, "audio": audio, "row": row, "id": id}
    queries = [(name, value) for name, value in given.items() if value is not None]
    if len(queries) != 1:
        complain(
            f"a search takes one of --text, --image, --audio, --row and --id, got {len(queries)}"
        )
        return USAGE
    found = find(_load(conf), feature, *queries[0], k)
    rows = found.to_pylist()
    print_json(rows, json=json)
    if not json:
        hidden = {"content_hash", "encoded_at", "run_id"}
        table(rows, [c for c in found.column_names if c not in hidden])
    return FINE


@app.command(usage="Usage: vecmill dead [OPTIONS] [FEATURE]")
def dead(feature: str | None = None, /, *, conf: Conf = None, json: AsJson = False) -> int:
    """List the records that could not be read or encoded, each with its place and reason.

    Parameters
    ----------
    feature
        The feature to list them of; all where none is named.
    """
    stores, settings = _stores(conf)
    if feature is not None:
        settings.feature(feature)
    found = stores.catalog.query(
        "SELECT d.* FROM dead_letters d WHERE $1 IS NULL OR feature = $1 "
        "ORDER BY feature, version, place",
        feature,
    )
    rows = found.to_pylist()
    print_json(rows, json=json)
    if not rows:
        say("no dead letters")
    elif not json:
        rows = [row | {"why": f"{row['place']}: {row['reason']}"} for row in rows]
        listing(rows, ("feature", "version", "stage", "record_id"), "why")
    return FINE


@app.command
def status(*, conf: Conf = None, json: AsJson = False) -> int:
    """Show each feature: its versions, rows, dead letters, alarms and last run."""
    from flows.status import status as rows_of

    rows = rows_of(_load(conf))
    print_json(rows, json=json)
    if not json:
        table(rows, ("feature", "version", "standing", "encoder", "dim", "rows", "dead",
                      "alarms", "last_status", "finished_at"))  # fmt: skip
        for row in rows:
            if row["error"]:
                say(f"{row['feature']}, last run: {row['error']}")
    if not rows:
        say("no feature is configured and none has run")
    return FINE


@app.command
def promote(feature: str, version: int, /, *, conf: Conf = None) -> int:
    """Make a version the live one, which readers of the feature get from then on.

    Parameters
    ----------
    feature
        The feature.
    version
        The number of one of its versions, as `vecmill status` shows them.
    """
    stores, settings = _stores(conf)
    settings.feature(feature)
    say(f"{stores.catalog.promote(feature, version).table} is live")
    return FINE


@app.command
def doctor(*, conf: Conf = None, json: AsJson = False) -> int:
    """Check this machine, the packages, the configuration and the store, and say what to mend."""
    from flows.doctor import examine

    checks = [asdict(check) for check in examine(conf)]
    print_json(checks, json=json)
    if not json:
        rows = [c | {"found": c["found"] + (f" → {c['advice']}" if c["advice"] else "")}
                for c in checks]  # fmt: skip
        table(rows, ("check", "state", "found"))
    return FAILED if any(check["state"] == "broken" for check in checks) else FINE


@app.command(usage="Usage: vecmill init [FOLDER]")
def init(folder: Annotated[Path, Parameter(show_default=False)] = Path(), /) -> int:
    """Write a commented starter configuration to FOLDER/conf/base.toml.

    Parameters
    ----------
    folder
        The project's folder; without it the one you are in.
    """
    from flows.starter import write

    path = write(folder)
    conf = "" if folder.resolve() == Path.cwd() else f" --conf {path}"
    say(f"wrote {path}; edit it, then try `vecmill plan{conf}`")
    return FINE


@app.command
def demo(*, conf: Annotated[Path, Parameter(metavar="FILE")] = Path("conf/demo.toml")) -> int:
    """Run the whole pipeline on real records of four modalities, offline, and show what it does.

    Parameters
    ----------
    conf
        Its configuration; the store that it names is made anew.
    """
    from flows.demo import demo as show

    return FINE if show(conf) else FAILED


def _quieten() -> None:
    """Keep libraries' chatter out of the way of results and progress."""
    # Prefect prints a traceback of each failure, which is told in our words; a server hears of all.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")


def _load(conf: Path | None) -> Settings:
    from flows.settings import load

    return load(conf)


def _stores(conf: Path | None) -> tuple[Any, Settings]:
    from flows.stores import Stores

    settings = _load(conf)
    return Stores.of(settings), settings


def _chosen(settings: Settings, features: Iterable[str]) -> list[str]:
    from flows.settings import SettingsError

    chosen = list(features) or list(settings.features)
    for name in chosen:
        settings.feature(name)
    if not chosen:
        files = ", ".join(str(file) for file in settings.files)
        raise SettingsError(f"no feature is configured in {files}; add a [features.NAME] table")
    return chosen


if __name__ == "__main__":
    main()
