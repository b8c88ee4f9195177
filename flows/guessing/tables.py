"""Guesses for tables: rows of values, texts, interactions, and the rows of a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.config.nearest import hint
from flows.guessing import coders
from flows.guessing.columns import described
from flows.guessing.meetings import meetings
from flows.guessing.model import Guess, GuessError, Line
from flows.guessing.roles import Roles, change_column, roles
from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.columns import Column
    from flows.guessing.meetings import Meetings
    from flows.guessing.model import Coder, Value, Wishes
    from flows.guessing.reading import Sample
    from flows.sources.base import Modality

_EXAMPLE_WORDS = 6
_TEXTS = 200


@dataclass(frozen=True)
class Place:
    """Where a table is, as the configuration says it.

    Attributes:
        kind: of the source.
        keys: that name it: ``path``, or ``url`` and ``table``.
        what: in words.
        size: bytes; None where nobody knows.
    """

    kind: str
    keys: tuple[Line, ...]
    what: str
    size: int | None


def of_table(name: str, place: Place, sample: Sample, wishes: Wishes) -> Guess:
    """Guess what a table is from a sample of its rows.

    Raises:
        GuessError: if it has no rows, no column that can be encoded, or not those that are asked
            for.
    """
    columns = described(sample.frame)
    if not columns or not columns[0].rows:
        raise GuessError(
            f"{place.what} has no rows that can be read{''.join(f': {n}' for n in sample.notes)}; "
            "put records there, or name another"
        )
    of_rows = wishes.id is not None or wishes.content is not None or wishes.encoder is not None
    met = None if of_rows or place.kind != "table" else meetings(columns)
    if met is not None:
        return _of_meetings(name, place, sample, columns, met)
    coder, modality = _asked(wishes)
    found = wished(roles(columns, texts=None if modality is None else modality == "text"),
                   columns, wishes)  # fmt: skip
    if found.weak and any(column.kind == "bytes" for column in columns):
        raise GuessError(f"{place.what} has nothing to encode: {'; '.join(found.notes)}")
    modality = modality or ("text" if found.texts else "tabular")
    coder = coder or coders.usual(modality)
    notes = [*sample.notes, *found.notes]
    if found.id is None:
        notes.append(
            "without an id a record goes by its content: an edited row is a new record, and equal "
            "rows are numbered"
        )
    if coder.kind == "sentence":
        notes += coders.remarks(_texts(sample, found.content))
    if modality == "text" and (left := _left(columns, found)):
        notes.append(
            f"not used: {', '.join(left)}; name them in keep to have them beside the vector, or "
            "encode them too by a second feature and fuse (docs/over.md)"
        )
    return Guess(
        name=name,
        what=f"{place.what}, {_counted(sample)}",
        kind=place.kind,
        modality=modality,
        source=(*place.keys, *_layout(sample), *_lines(found), *_cursor(place, columns)),
        encoder=coder,
        feature=(Line("monitors", _monitors(place), "run after each run: docs/monitoring.md"),),
        notes=tuple(notes),
        example=_example(sample, found, modality),
        size=place.size,
    )


def _monitors(place: Place) -> list[str]:
    return ["records", *coders.MONITORS] if place.kind in {"table", "query"} else coders.MONITORS


def _asked(wishes: Wishes) -> tuple[Coder | None, Modality | None]:
    if wishes.encoder is None:
        return None, None
    return coders.named(wishes.encoder, ("text", "tabular"))


def wished(found: Roles, columns: Sequence[Column], wishes: Wishes) -> Roles:
    """The roles with what the user says in place of what was guessed.

    Raises:
        GuessError: if a column that is named is not there, or none is left to encode.
    """
    names = [column.name for column in columns]
    asked = [wishes.id, wishes.event_time, *(wishes.content or ()), *(wishes.keep or ())]
    for name in asked:
        if name and name not in names:
            raise GuessError(f"there is no column {name!r}{hint(name, names)}")
    why = dict(found.why)
    for role in ("id", "event_time", "content", "keep"):
        if getattr(wishes, role) is not None:
            why[role] = "as you said"
    given = {
        role: getattr(wishes, role) or None
        for role in ("id", "event_time")
        if getattr(wishes, role) is not None
    }
    taken = {*given.values(), *(wishes.keep or ())}
    content = wishes.content or tuple(name for name in found.content if name not in taken)
    # what is encoded may be kept too where it is text, but the answer to a question is not read
    kept = found.keep if wishes.keep is None else wishes.keep
    kept = tuple(name for name in kept if found.texts or name not in content)
    if not content:
        raise GuessError(
            f"no column is left to encode: there are {', '.join(map(repr, names))}; name some with "
            "--content"
        )
    id_ = given.get("id", None if found.id in content else found.id)
    time = given.get("event_time", None if found.event_time in content else found.event_time)
    kept = tuple(name for name in kept if name not in {id_, time})
    return replace(found, content=content, keep=kept, id=id_, event_time=time, why=why)


def _lines(found: Roles) -> tuple[Line, ...]:
    why = found.why
    lines = [] if found.id is None else [Line("id", found.id, why["id"])]
    content = list(found.content)
    lines.append(Line("content", content[0] if len(content) == 1 else content, why["content"]))
    if found.event_time is not None:
        lines.append(Line("event_time", found.event_time, why["event_time"]))
    if found.keep:
        reason = why.get("keep", "stored beside the vector, for conditions and colours")
        lines.append(Line("keep", list(found.keep), reason))
    return tuple(lines)


def _layout(sample: Sample) -> tuple[Line, ...]:
    """The keys by which a file is read, where they are not the usual ones."""
    lines = []
    if not sample.told:
        lines.append(Line("format", "csv", "each line is a text" if sample.form == "lines" else ""))
    if sample.separator is not None:
        lines.append(Line("separator", sample.separator, "between fields"))
    if sample.form == "lines":
        lines.append(Line("quote", "", "quotes are part of the text"))
    if sample.names:
        header: Value = False
        lines.append(Line("header", header, "the first row is a record already"))
        lines.append(Line("columns", list(sample.names), "names for them; change them here"))
    if sample.null_values:
        lines.append(Line("null_values", ["", *sample.null_values], "what stands for no value"))
    return tuple(lines)


def _cursor(place: Place, columns: Sequence[Column]) -> tuple[Line, ...]:
    cursor = change_column(columns) if place.kind == "query" else None
    if cursor is None:
        return ()
    return (Line("cursor", cursor, "runs read what changed since; deletions show with --full"),)


def _counted(sample: Sample) -> str:
    rows, columns = sample.frame.shape
    seen = units.several(rows, "row") if sample.whole else f"the first {rows:,} rows seen"
    return f"{seen}, {columns} column{'s' if columns != 1 else ''}"


def _left(columns: Sequence[Column], found: Roles) -> list[str]:
    """What has no part in it, but for what cannot be kept either, which has notes of its own."""
    return [c.name for c in columns if c.name in found.left and c.kind not in {"bytes", "nested"}]


def _texts(sample: Sample, content: Sequence[str]) -> list[str]:
    rows = sample.frame.select(content).head(_TEXTS).rows()
    return [" ".join(str(value) for value in row if value is not None) for row in rows]


def _example(sample: Sample, found: Roles, modality: Modality) -> tuple[str, str] | None:
    if modality == "text":
        text = next((t for t in _texts(sample, found.content) if t.strip()), "")
        return "--text", " ".join(text.split()[:_EXAMPLE_WORDS])
    if found.id is None:
        return None
    return "--id", str(sample.frame[found.id].drop_nulls()[0])


def _of_meetings(
    name: str, place: Place, sample: Sample, columns: Sequence[Column], met: Meetings
) -> Guess:
    lines = [
        Line("user", met.user, "by its name; it comes in several rows"),
        Line("item", met.item, "by its name"),
    ]
    if met.weight is not None:
        why = "how much it was liked" if met.rating else "how often, or how much"
        lines.append(Line("weight", met.weight, why))
    if met.time is not None:
        lines.append(Line("time", met.time))
    if met.rating:
        lines.append(Line("combine", "last", "of several ratings the last counts"))
    notes = [
        *sample.notes,
        "taken for who met what, by user and item; --content COLUMN takes in its rows instead",
    ]
    left = {column.name for column in columns} - {met.user, met.item, met.weight, met.time}
    if left:
        notes.append(f"not used: {', '.join(sorted(left))}")
    return Guess(
        name=name,
        what=f"{place.what}, {_counted(sample)}",
        kind="interactions",
        modality="interactions",
        source=(*place.keys, *_layout(sample), *lines),
        encoder=coders.of_ratings() if met.rating else coders.usual("interactions"),
        feature=(Line("monitors", ["drift"], "run after each run: docs/monitoring.md"),),
        notes=tuple(notes),
        example=("--user", str(sample.frame[met.user][0])),
        size=place.size,
    )
