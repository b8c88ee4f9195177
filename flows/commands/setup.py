"""Commands for the first steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import BEGIN, AsJson, Conf, Flag, app
from flows.commands._planning import show_plan, shown
from flows.output.answers import say
from flows.output.codes import FINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.asking import Terminal
    from flows.guessing.looking import Looker
    from flows.guessing.model import Guess, Wishes

Column = Annotated[str | None, Parameter(metavar="COLUMN")]
Columns = Annotated[tuple[str, ...] | None, Parameter(metavar="COLUMNS", negative="")]
Folder = Annotated[Path | None, Parameter(metavar="FOLDER")]


@app.command(usage="Usage: vecmill init [OPTIONS] [PATHS...]", group=BEGIN, sort_key=1)
def init(  # noqa: PLR0913 - one option a choice
    *paths: str,
    name: Annotated[str | None, Parameter(metavar="NAME")] = None,
    id: Column = None,  # noqa: A002 - as the key is called
    content: Columns = None,
    keep: Columns = None,
    event_time: Column = None,
    encoder: Annotated[str | None, Parameter(metavar="KIND")] = None,
    pattern: Annotated[str | None, Parameter(metavar="PATTERN")] = None,
    table: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    project: Folder = None,
    conf: Conf = None,
    yes: Flag = False,
    dry_run: Flag = False,
    json: AsJson = False,
) -> int:
    """Look at records, write a configuration for them, and show what a run would do.

    It looks at a sample, guesses what the records are and how to encode them, and says why. At a
    terminal it lets you change what it guessed before it writes; elsewhere it takes the guesses.
    What the configuration has already is left as it is. Without a path it writes a commented
    starter.

    Parameters
    ----------
    paths
        A file, a folder, a pattern such as 'news/*.csv', an address such as s3://bucket/photos, or
        a database: sqlite:///shop.db, duckdb:///FILE, postgresql://user@host/database. Two tables
        are taken for a graph where one holds the edges of the other.
    name
        What to call the feature.
    id
        The column of ids; none to go by content.
    content
        The columns to encode, with commas between them.
    keep
        The columns to store beside the vectors, likewise; none for none.
    event_time
        The column of event times; none for none.
    encoder
        The kind of encoder, such as lsa; docs/encoders has a page for each.
    pattern
        What the paths of files tell, such as '{label}/{name}.jpg'.
    table
        The table of a database.
    project
        The project folder, in which conf/base.toml is written; without it the one you are in.
    yes
        Ask nothing, and take the guesses.
    dry_run
        Print what would be written, and write nothing.
    """
    from flows.guessing.asking import wishes_of

    file = _file(conf, project)
    if not paths:
        return _starter(file, conf)
    wishes = wishes_of(
        name=name, id=id, content=content, keep=keep, event_time=event_time, encoder=encoder,
        pattern=pattern, table=table,
    )  # fmt: skip
    from flows.config.layers import project_root
    from flows.config.starter import schema_beside, schema_line, write_schema
    from flows.guessing.adding import Standing, add, text_of
    from flows.guessing.asking import LeftError
    from flows.guessing.looking import Looker, take_guess

    standing = Standing.of(file)
    terminal = None if yes or json or dry_run else _terminal()
    choose = take_guess if terminal is None else terminal.table
    looker = Looker(Path.cwd(), project_root(file), standing.names, wishes, say, choose)
    try:
        guesses = _new(looker.look(paths), standing.reading, wishes)
        if not guesses:
            return FINE
        guesses = _settled(guesses, looker, paths, terminal, quiet=json)
    except LeftError:
        say("nothing is written")
        return FINE
    text, added = text_of(standing, guesses), file.is_file()
    schema = schema_beside(file)
    if not added:
        text = schema_line(schema) + text
    if dry_run:
        print(text, end="")  # noqa: T201 - the result
        return FINE
    add(standing, text)
    if not added:
        write_schema(schema)
    say(f"{'added to' if added else 'wrote'} {shown(file)}; every line may be edited")
    option = "" if file == _file(None, None) else f" --conf {shown(file)}"
    return show_plan(guesses, file, option, json=json)


def _file(conf: Path | None, project: Path | None) -> Path:
    """The configuration that is to be written or added to."""
    from flows.config.layers import DEFAULT_CONF, named

    inside = None if project is None else project / DEFAULT_CONF
    return named(conf or inside).resolve()


def _starter(file: Path, conf: Path | None) -> int:
    from flows.config.layers import project_root
    from flows.config.settings import SettingsError
    from flows.config.starter import write

    if conf is not None:
        raise SettingsError("--conf is for adding records to a file; name their path, or leave it")
    path = write(project_root(file))
    option = "" if path == _file(None, None) else f" --conf {shown(path)}"
    say(
        f"wrote {shown(path)}, a starter that shows every section; take the comments off a source "
        f"and a feature, or let `vecmill init PATH{option}` write them for your records; then "
        f"`vecmill plan{option}`"
    )
    return FINE


def _terminal() -> Terminal | None:
    """Where to ask; None where nobody can answer."""
    import sys

    from rich.markup import escape

    from flows.guessing.asking import Terminal
    from flows.output.console import err

    if not (sys.stdin.isatty() and err.is_terminal):
        return None

    def ask(question: str) -> str:
        err.print(escape(question), end="")
        return input()

    return Terminal(say, ask)


def _new(guesses: Sequence[Guess], reading: Any, wishes: Wishes) -> list[Guess]:  # noqa: ANN401 - Standing.reading
    """The guesses that no source reads yet; of the others it is told what becomes of wishes."""
    new = []
    for guess in guesses:
        same = reading(guess)
        if same is None:
            new.append(guess)
        else:
            asked = [
                f"--{key.replace('_', '-')}"
                for key, value in vars(wishes).items()
                if value is not None
            ]
            done = f"; {' and '.join(asked)} changed nothing" if asked else ""
            say(
                f"[sources.{same}] reads the same already, and stays as it is{done}. Change it in "
                "the configuration, or name it there as the source of another feature; see "
                "`vecmill plan`"
            )
    return new


def _settled(
    guesses: list[Guess],
    looker: Looker,
    paths: Sequence[str],
    terminal: Terminal | None,
    *,
    quiet: bool,
) -> list[Guess]:
    """The guesses as they are to be written: as somebody wants them, or as they are."""
    from dataclasses import replace

    from flows.guessing.telling import all_lines

    if terminal is not None:
        tables = [line.value for line in guesses[0].source if line.key == "table"]

        def again(wishes: Wishes) -> list[Guess]:
            chosen = str(tables[0]) if tables else None
            wishes = replace(wishes, table=wishes.table or chosen)
            return replace(looker, wishes=wishes).look(paths)

        return terminal.settled(guesses, looker.wishes, again)
    for line in all_lines([] if quiet else guesses):
        say(line)
    return guesses


@app.command(group=BEGIN)
def demo(*, conf: Annotated[Path | None, Parameter(metavar="FILE")] = None) -> int:
    """Run the whole pipeline on real records of four modalities, offline, and show what it does.

    Parameters
    ----------
    conf
        Its configuration, whose store is made anew; without it conf/demo.toml, or where there is
        none, a project in the folder vecmill-demo.
    """
    from flows.demo.job import demo as show
    from flows.demo.project import DEMO, project

    if conf is None:
        conf = DEMO if DEMO.is_file() else project(Path("vecmill-demo"))
    return show(conf)
