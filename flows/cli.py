"""The command line. Results go to standard output, everything else to standard error.

Exit codes: 0 fine, 1 a run failed, 2 usage or configuration, 3 a finding; 130 after Ctrl-C and 141
where the reader of a pipe has left, as shells have it.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.settings import Settings

FINE, FAILED, USAGE, FINDING = 0, 1, 2, 3
INTERRUPTED, UNREAD = 130, 141

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
        _complain("interrupted; nothing half done is published, and the next run goes on from here")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - every error becomes a message and an exit code
        return _report(error)
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
            _print_json(rows[-1:], json=json)
    if not json:
        _table(rows, _COUNTS)
        _explain_plan(rows)
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
                if settings.feature(name).monitors:
                    findings = carry_out.monitor(name)
            except Exception as error:  # noqa: BLE001 - the other features have a right to their run
                _report(error, name)
                worst = FAILED
            if rows and rows[-1]["feature"] == name:
                _print_json(rows[-1:], json=json)
            for finding in findings:
                reporter.note(_told(name, finding))
                if finding["verdict"] == "alarm" and worst == FINE:
                    worst = FINDING
    if not json and rows:
        _table(rows, _COUNTS)
    return worst


@app.command
def monitor(
    feature: str, /, *, conf: Conf = None, json: AsJson = False, direct: IsDirect = False
) -> int:
    """Compare what a feature's last run wrote with what stood before it.

    The exit code is 3 where a monitor raises an alarm.

    Parameters
    ----------
    feature
        The feature to look at.
    """
    from flows.console import reporting
    from flows.runner import runner

    settings = _load(conf)
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        findings = carry_out.monitor(feature)
    _print_json(findings, json=json)
    if not json:
        _listing(findings, ("monitor", "verdict", "p_value", "effect_size", "n_reference",
                            "n_current"), "summary")  # fmt: skip
        for finding in findings:
            if finding["verdict"] == "alarm" and finding["record_ids"]:
                _say(f"{finding['monitor']}, clearest records: {', '.join(finding['record_ids'])}")
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
        _complain(f"a table is for people to read; name a format for {output}: csv, json, parquet")
        return USAGE
    if form == "parquet" and output is None and sys.stdout.isatty():
        _complain("parquet is binary; write it to a file with --output FILE")
        return USAGE
    from flows.pipeline import Stores
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
        _complain(
            f"a search takes one of --text, --image, --audio, --row and --id, got {len(queries)}"
        )
        return USAGE
    found = find(_load(conf), feature, *queries[0], k)
    rows = found.to_pylist()
    _print_json(rows, json=json)
    if not json:
        hidden = {"content_hash", "encoded_at", "run_id"}
        _table(rows, [c for c in found.column_names if c not in hidden])
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
    _print_json(rows, json=json)
    if not rows:
        _say("no dead letters")
    elif not json:
        rows = [row | {"why": f"{row['place']}: {row['reason']}"} for row in rows]
        _listing(rows, ("feature", "version", "stage", "record_id"), "why")
    return FINE


@app.command
def status(*, conf: Conf = None, json: AsJson = False) -> int:
    """Show each feature: its versions, rows, dead letters, alarms and last run."""
    from flows.status import status as rows_of

    rows = rows_of(_load(conf))
    _print_json(rows, json=json)
    if not json:
        _table(rows, ("feature", "version", "standing", "encoder", "dim", "rows", "dead",
                      "alarms", "last_status", "finished_at"))  # fmt: skip
        for row in rows:
            if row["error"]:
                _say(f"{row['feature']}, last run: {row['error']}")
    if not rows:
        _say("no feature is configured and none has run")
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
    _say(f"{stores.catalog.promote(feature, version).table} is live")
    return FINE


@app.command
def doctor(*, conf: Conf = None, json: AsJson = False) -> int:
    """Check this machine, the packages, the configuration and the store, and say what to mend."""
    from flows.doctor import examine

    checks = [asdict(check) for check in examine(conf)]
    _print_json(checks, json=json)
    if not json:
        rows = [c | {"found": c["found"] + (f" → {c['advice']}" if c["advice"] else "")}
                for c in checks]  # fmt: skip
        _table(rows, ("check", "state", "found"))
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
    _say(f"wrote {path}; edit it, then try `vecmill plan{conf}`")
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


def _code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None for a fault of ours."""
    from encoders.base import EncoderError
    from flows.fitting import FittingError
    from flows.monitoring import MonitorError
    from flows.pipeline import RunError
    from flows.search import SearchError
    from flows.settings import SettingsError
    from flows.sources.base import SourceError
    from storage.model import StorageError

    if isinstance(error, SettingsError | SearchError | MonitorError):
        return USAGE
    mendable = (EncoderError, FittingError, RunError, SourceError, StorageError, OSError)
    return FAILED if isinstance(error, mendable) else None


def _report(error: Exception, feature: str = "") -> int:
    """Tell of an error, and give the exit code it stands for."""
    code = _code_of(error)
    message = str(error)
    if code is None:
        traceback.print_exception(error)
        message = "this is a fault of Vecmill's; please report it with the lines above"
    told = feature and not message.startswith(feature)
    _complain(f"{feature}: {message}" if told else message)
    return FAILED if code is None else code


def _load(conf: Path | None) -> Settings:
    from flows.settings import load

    return load(conf)


def _stores(conf: Path | None) -> tuple[Any, Settings]:
    from flows.pipeline import Stores

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


def _explain_plan(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        version = f"{'a new version, ' if row['creates'] else ''}v{row['version']}"
        seconds = row["seconds"]
        time = (
            "time not known before a first run" if seconds is None
            else "less than a second" if seconds < 1
            else f"about {seconds:,.0f} s"
        )  # fmt: skip
        work = f"{row['encoded']:,} to encode into {version}; {time}"
        _say(f"{row['feature']}: {work if row['encoded'] else 'nothing to encode'}")


def _told(feature: str, finding: dict[str, Any]) -> str:
    summary: str = finding["summary"]
    known = finding["verdict"] == "quiet" or summary.startswith(finding["verdict"])
    verdict = "" if known else f"{finding['verdict']}: "
    return f"{feature}: {finding['monitor']}: {verdict}{summary}"


def _print_json(rows: Iterable[dict[str, Any]], *, json: bool) -> None:
    if json:
        for row in rows:
            print(_dumps(row), flush=True)  # noqa: T201 - the result


def _dumps(row: dict[str, Any]) -> str:
    return json.dumps(_plain(row), default=str, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    """NaN and infinity, which JSON does not have, as null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    from flows.console import table

    table(rows, columns)


def _listing(rows: Sequence[dict[str, Any]], columns: Sequence[str], below: str) -> None:
    from flows.console import listing

    listing(rows, columns, below)


def _say(message: str) -> None:
    from rich.markup import escape

    from flows.console import err

    err.print(escape(message))


def _complain(message: str) -> None:
    from rich.markup import escape

    from flows.console import err

    err.print(f"[red]error:[/red] {escape(message)}")


if __name__ == "__main__":
    main()
