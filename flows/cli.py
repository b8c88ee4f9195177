"""The command line. Results go to standard output, everything else to standard error.

Exit codes: 0 fine, 1 a run failed, 2 usage or configuration, 3 a finding.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from flows.settings import Settings

FINE, FAILED, USAGE, FINDING = 0, 1, 2, 3

Conf = Annotated[Path | None, Parameter(name="--conf", help="Configuration file.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object a line.")]
IsDirect = Annotated[
    bool, Parameter(negative="", help="Run in this process, without Prefect and its API server.")
]


def _version() -> str:
    from importlib.metadata import version

    return version("vecmill")


app = App(
    name="vecmill",
    help="Raw records in, versioned vectors out: embedded once, queried by SQL, watched for drift.",
    version=_version,
    help_on_error=False,
)

_COUNTS = (
    "feature", "version", "standing", "records", "new", "changed", "updated", "unchanged",
    "deleted", "deduplicated", "encoded", "resumed", "dead", "seconds",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command(argv))


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
        _complain("interrupted; what was staged is used by the next run")
        return FAILED
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        _complain(str(error))
    return code if isinstance(code, int) else FINE


@app.command
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


@app.command
def run(
    *features: str,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = False,
    refit: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Bring features up to date: plan, encode what is new or changed, commit, publish, monitor.

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
            try:
                rows.append(carry_out.embed(name, refit=refit))
                findings = carry_out.monitor(name) if settings.feature(name).monitors else []
            except Exception as error:
                if _code_of(error) is None:
                    raise
                _complain(str(error))
                worst = FAILED
                continue
            _print_json(rows[-1:], json=json)
            for finding in findings:
                reporter.note(f"{name}: {finding['monitor']}: {finding['summary']}")
                if finding["verdict"] == "alarm" and worst == FINE:
                    worst = FINDING
    if not json and rows:
        _table(rows, _COUNTS)
    return worst


@app.command
def monitor(
    feature: str, *, conf: Conf = None, json: AsJson = False, direct: IsDirect = False
) -> int:
    """Compare what a feature's last run wrote with what stood before it. Exit code 3: a finding."""
    from flows.console import reporting
    from flows.runner import runner

    settings = _load(conf)
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        findings = carry_out.monitor(feature)
    _print_json(findings, json=json)
    if not json:
        _table(findings, ("monitor", "verdict", "p_value", "effect_size", "n_reference",
                          "n_current", "summary"))  # fmt: skip
        for finding in findings:
            if finding["verdict"] == "alarm" and finding["record_ids"]:
                _say(f"{finding['monitor']}, clearest records: {', '.join(finding['record_ids'])}")
    alarms = any(finding["verdict"] == "alarm" for finding in findings)
    return FINDING if alarms else FINE


@app.command
def sql(
    statement: str,
    *,
    conf: Conf = None,
    format: Literal["table", "csv", "json", "parquet"] = "table",  # noqa: A002 - the option's name
    output: Path | None = None,
) -> int:
    """Run SQL over the published vectors and the catalog, in DuckDB.

    Parameters
    ----------
    statement
        A statement; each feature is a view of its name, each version one such as articles_v3.
    format
        How rows are written; parquet needs --output or a pipe.
    output
        The file to write to, instead of standard output.
    """
    from flows.pipeline import Stores
    from storage import query

    stores = Stores.of(_load(conf))
    with query.connect(stores.catalog, stores.vectors) as con:
        relation = query.run(con, statement)
        if format == "table" and output is None:
            from flows.console import out

            print(query.as_table(relation, out.width), end="")  # noqa: T201 - the result
            return FINE
        if format == "parquet" and output is None and sys.stdout.isatty():
            _complain("parquet is binary; write it to a file with --output FILE")
            return USAGE
        query.export(relation, "csv" if format == "table" else format, output)
    return FINE


@app.command
def search(  # noqa: PLR0913 - one option a kind of query
    feature: str,
    *,
    text: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    row: str | None = None,
    id: str | None = None,  # noqa: A002 - the option's name
    k: Annotated[int, Parameter(name=["-k", "--limit"])] = 10,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find the records nearest to a query, encoded by the live version's own encoder.

    Parameters
    ----------
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
    shown = [c for c in found.column_names if c not in {"content_hash", "encoded_at", "run_id"}]
    _show(found, shown, json=json)
    return FINE


@app.command
def dead(feature: str | None = None, *, conf: Conf = None, json: AsJson = False) -> int:
    """List the records that could not be read or encoded, each with its place and reason."""
    stores, settings = _stores(conf)
    if feature is not None:
        settings.feature(feature)
    found = stores.catalog.query(
        "SELECT d.* FROM dead_letters d WHERE $1 IS NULL OR feature = $1 "
        "ORDER BY feature, version, place",
        feature,
    )
    _show(found, ("feature", "version", "record_id", "place", "stage", "reason"), json=json)
    return FINE


@app.command
def status(*, conf: Conf = None, json: AsJson = False) -> int:
    """Show each feature: its versions, rows, last run, dead letters and last finding."""
    from flows.status import status as rows_of

    rows = rows_of(_load(conf))
    _print_json(rows, json=json)
    if not json:
        _table(rows, ("feature", "version", "standing", "encoder", "dim", "rows", "dead",
                      "last_run", "last_status", "alarms"))  # fmt: skip
    return FINE


@app.command
def promote(feature: str, version: int, *, conf: Conf = None) -> int:
    """Make a version the live one, which readers of the feature get from then on."""
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
        _table(checks, ("check", "state", "found", "advice"))
    return FAILED if any(check["state"] == "broken" for check in checks) else FINE


@app.command
def init(folder: Path = Path(), /) -> int:
    """Write a commented starter configuration to FOLDER/conf/base.toml."""
    from flows.starter import write

    path = write(folder)
    _say(f"wrote {path}; edit it, then try `vecmill plan`")
    return FINE


@app.command
def demo(*, conf: Path = Path("conf/demo.toml")) -> int:
    """Run the whole pipeline on real records of four modalities, offline, and show what it does."""
    from flows.demo import demo as show

    return FINE if show(conf) else FAILED


def _quieten() -> None:
    """Keep libraries' chatter out of the way of results and progress."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
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
    if isinstance(error, EncoderError | FittingError | RunError | SourceError | StorageError):
        return FAILED
    return None


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
        name, encoded = row["feature"], row["encoded"]
        version = f"{'a new version ' if row['creates'] else ''}v{row['version']}"
        time = "" if row["seconds"] is None else f", about {row['seconds']:,.1f} s"
        unknown = ", time not known before a first run" if row["seconds"] is None else time
        _say(f"{name}: {encoded:,} to encode into {version}{unknown}")


def _show(found: pa.Table, columns: Sequence[str], *, json: bool) -> None:
    rows = found.to_pylist()
    _print_json(rows, json=json)
    if not json:
        _table(rows, columns)


def _print_json(rows: Iterable[dict[str, Any]], *, json: bool) -> None:
    if json:
        for row in rows:
            print(_dumps(row), flush=True)  # noqa: T201 - the result


def _dumps(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False)


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    from flows.console import table

    table(rows, columns)


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
