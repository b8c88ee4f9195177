"""Guesses for databases: which table, and an address that tells no password."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from flows.config.nearest import hint
from flows.config.templates import fill, is_template
from flows.guessing import reading, schema
from flows.guessing.columns import described
from flows.guessing.model import Guess, GuessError, Line
from flows.guessing.names import free
from flows.guessing.roles import text_columns
from flows.guessing.tables import Place, of_table
from flows.output.redact import remember
from flows.sources._url import check_url, file_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.guessing.model import Wishes
    from flows.guessing.reading import Sample

_MOST = 20
"""Tables that are looked into to guess which one is meant."""
_PASSWORD = re.compile(r"://(?:\$\{[^}]*\}|[^/?#:@])*:(?P<password>(?:\$\{[^}]*\}|[^/?#@])+)@")
_OPTION = re.compile(r"[?&][^=&#]*password[^=&#]*=(?P<password>[^&#]+)")
_VARIABLE = re.compile(r"\$\{(\w+)")
VARIABLE = "DB_PASSWORD"


def of_database(
    url: str, root: Path, wishes: Wishes, choose: Callable[[Sequence[str], str], str]
) -> Guess:
    """Guess for a table of a database.

    Args:
        url: as the user wrote it; may use the environment, as ``${NAME}``.
        root: that the path of a file is taken from.
        wishes: what the user has said.
        choose: asked which of several tables; given their names and the guess.

    Raises:
        GuessError: if it has no tables, or not the one that is asked for.
        SourceError: if it cannot be read.
    """
    address = str(fill(url, "the address")) if is_template(url) else url
    check_url(address)
    written, notes = hidden(url)
    names = schema.tables(address, root)
    if not names:
        raise GuessError(f"{shown(address)} has no tables; check the address and what you may read")
    table, why, sample = _chosen(names, address, root, wishes, choose)
    file = file_of(address)
    size = (root / file).stat().st_size if file is not None else None
    keys = (Line("url", written), Line("table", table, why))
    place = Place("query", keys, f"table {table} of {shown(address)}", size)
    key = None if wishes.id is not None else _key(schema.primary_key(address, table, root), sample)
    told = wishes if key is None else replace(wishes, id=key)
    guess = of_table(table.rpartition(".")[2], place, sample, told)
    if key is not None:
        lines = (replace(x, why="the primary key") if x.key == "id" else x for x in guess.source)
        guess = replace(guess, source=tuple(lines))
    needs = tuple(name for name in _VARIABLE.findall(written) if name not in _VARIABLE.findall(url))
    return replace(guess, notes=(*notes, *guess.notes), needs=needs)


def _key(columns: Sequence[str], sample: Sample) -> str | None:
    """The column that is a table's primary key by itself, if records can go by it."""
    if len(columns) != 1:
        return None
    fit = {c.name for c in described(sample.frame) if c.kind in {"text", "int"}}
    return columns[0] if columns[0] in fit else None


def _chosen(
    names: Sequence[str],
    url: str,
    root: Path,
    wishes: Wishes,
    choose: Callable[[Sequence[str], str], str],
) -> tuple[str, str, Sample]:
    """A table, why it is that one, and its first rows."""
    if wishes.table is not None:
        if wishes.table not in names:
            raise GuessError(f"there is no table {wishes.table!r}{hint(wishes.table, names)}")
        return wishes.table, "", reading.of_query(url, wishes.table, root)
    if len(names) == 1:
        return names[0], "the only one", reading.of_query(url, names[0], root)
    samples = {name: reading.of_query(url, name, root) for name in names[:_MOST]}
    guessed = max(samples, key=lambda name: _worth(samples[name]))
    table = choose(list(names), guessed)
    of = f"of {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"  # noqa: PLR2004 - enough
    longest = "has the longest texts " if _worth(samples[guessed])[0] else "has the most columns "
    if table not in samples:
        return table, of, reading.of_query(url, table, root)
    why = f"{longest}{of}; --table names another" if table == guessed else of
    return table, why, samples[table]


def _worth(sample: Sample) -> tuple[float, int]:
    """How much there is to encode: characters of texts a row, then columns."""
    columns = described(sample.frame)
    if not columns or not columns[0].rows:
        return 0.0, 0
    return sum(column.length for column in text_columns(columns)), len(columns)


def hidden(url: str) -> tuple[str, tuple[str, ...]]:
    """An address as the configuration is to have it, and what to say of that.

    A password, before the host or among the options, is put in the environment, for this process,
    and the name of its variable in the address.
    """
    found = [*_PASSWORD.finditer(url), *_OPTION.finditer(url)]
    names: list[str] = []
    written = url
    for match in reversed(found):
        password = match["password"]
        if is_template(password):
            continue
        names.append(_kept(password))
        written = f"{written[: match.start(1)]}${{{names[-1]}}}{written[match.end(1) :]}"
    if not names:
        return url, ()
    shown_names = " ".join(f"{name}=..." for name in reversed(names))
    note = (
        "the password is not written down: the configuration takes it from the environment; "
        f"export {shown_names} before each run"
    )
    return written, (note,)


def _kept(password: str) -> str:
    """The variable that has a password from now on, and had no other."""
    others = {name for name, value in os.environ.items() if value not in {"", password}}
    name = free(VARIABLE, others)
    remember(name, unquote(password))
    os.environ[name] = password
    return name
