"""Which column of a table is what: id, content, event time, and what to keep beside the vector.

Names say much and values must agree: an id is unique, a time can be read as one, a text is long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.guessing.columns import snake
from flows.sources.base import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.columns import Column

_ID = re.compile(
    r"(?:.*_)?(id|uuid|guid|key|pk|sku|isbn|isbn13|doi|ean|code|slug|accession|nr|no|number)"
)
_FIRST_OF_IDS = ("id", "record_id", "uuid", "guid", "key", "pk")
_ROW_NUMBER = re.compile(r"|index|rowid|row|row_number|unnamed(_\d+)?|level_0|column_?1")
_TIME = re.compile(
    r"(?:.*_)?(at|on|date|datetime|time|timestamp|ts|day|when|created|updated|published|modified)"
)
_FIRST_OF_TIMES = (
    "event_time", "published_at", "published", "created_at", "created", "timestamp", "datetime",
    "date", "time",
)  # fmt: skip
_CHANGES = ("updated", "modified", "changed", "edited")
_BIRTH = re.compile(r".*(birth|born|dob).*")
_TEXTS = re.compile(
    r"(?:.*_)?(title|headline|subject|body|text|texts|content|contents|description|desc|summary|"
    r"abstract|review|comment|comments|message|question|answer|caption|note|notes|sentence|"
    r"document|article|story|bio|lyrics|transcript|tweet|post|query|prompt|plot|synopsis|"
    r"overview|details?|sentence_?\d|question_?\d|text_?\d)"
)
_LABEL = re.compile(
    r"(?:.*_)?(label|labels|class|target|category|species|survived|churn|churned|income|outcome|"
    r"diagnosis|sentiment|topic|genre|default|fraud|is_fraud|quality)"
)
_MOST_KEPT = 8
_MOST_VALUES = 50
_LEAST_WORDS, _LEAST_LENGTH = 5, 30
_LEAST_VALUES = 2
"""One number beside words is a score of them, and no row to tell from others."""
_FEWEST = 10
"""A column that is named as a text may say the same as often as this, and be one still."""
_SHORT = 120
_LONGEST_ID = 200
_EPOCH = (1e9, 4e9)


@dataclass(frozen=True)
class Roles:
    """What each column is.

    Attributes:
        texts: whether the content is text, else rows of values.
        why: the reason for each, by role.
        weak: whether the content is a word that stands there for want of texts and values.
        left: columns that have no part.
        notes: what the user should know.
    """

    texts: bool
    content: tuple[str, ...]
    id: str | None = None
    event_time: str | None = None
    keep: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)
    weak: bool = False
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def id_column(columns: Sequence[Column]) -> tuple[str | None, str]:
    """The column of ids and why it is, or None and why none is."""
    able = [column for column in columns if column.kind in {"text", "int"}]
    named = [c for c in able if _ID.fullmatch(snake(c.name)) and not _row_number(c)]
    ranked = sorted(named, key=lambda c: _rank(snake(c.name), _FIRST_OF_IDS))
    for column in ranked:
        if column.unique and column.longest <= _LONGEST_ID:
            return column.name, f"no value twice in the {column.rows:,} rows seen"
    first = columns[0] if columns else None
    if first is not None and first.unique and not _row_number(first) and _code(first):
        return first.name, f"the first column, no value twice in the {first.rows:,} rows seen"
    if ranked and ranked[0].doubled is not None:
        return None, f"{ranked[0].name!r} has {ranked[0].doubled!r} more than once"
    if ranked:
        return None, f"{ranked[0].name!r} is empty in some rows"
    return None, "no column is named like an id and has no value twice"


def _row_number(column: Column) -> bool:
    return _ROW_NUMBER.fullmatch(snake(column.name)) is not None


def _code(column: Column) -> bool:
    """Whether values are short words, or numbers that count up."""
    if column.kind == "int":
        return column.rising and not _time_like(column)
    return column.kind == "text" and column.words == 1 and column.longest <= _LONGEST_ID


def _rank(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)


def time_column(columns: Sequence[Column]) -> tuple[str | None, str]:
    """The column of event times and why it is, or None and why none is."""
    able = [column for column in columns if _time_like(column)]
    ranked = sorted(
        able,
        key=lambda c: (
            _BIRTH.fullmatch(snake(c.name)) is not None,
            any(word in snake(c.name) for word in _CHANGES),
            _rank(snake(c.name), _FIRST_OF_TIMES),
            _TIME.fullmatch(snake(c.name)) is None,
            -c.filled,
        ),
    )
    if not ranked or _BIRTH.fullmatch(snake(ranked[0].name)):
        return None, "no column of dates or times"
    chosen = ranked[0]
    example = f"such as {chosen.first[:19]}"
    others = [column.name for column in able if column is not chosen]
    return chosen.name, f"{example}; not {' or '.join(others)}" if others else example


def _time_like(column: Column) -> bool:
    if column.filled < column.rows / 2:
        return False
    if column.kind == "time":
        return True
    if column.kind != "int" or not _TIME.fullmatch(snake(column.name)):
        return False
    number = float(column.first)
    return any(_EPOCH[0] <= number / scale < _EPOCH[1] for scale in (1, 1000))


def change_column(columns: Sequence[Column]) -> str | None:
    """A column of times of change, by which a query need not be read whole."""
    return next(
        (
            column.name
            for column in columns
            if column.kind in {"time", "text"}
            and column.filled == column.rows
            and _TIME.fullmatch(snake(column.name))
            and any(word in snake(column.name) for word in _CHANGES)
        ),
        None,
    )


def text_columns(columns: Sequence[Column]) -> list[Column]:
    """The columns that hold texts worth encoding, in their order."""
    texts = [c for c in columns if c.kind == "text" and 2 * c.filled > c.rows]
    named = [c for c in texts if _TEXTS.fullmatch(snake(c.name)) and c.words > 1]
    long = [c for c in texts if c.words >= _LEAST_WORDS and c.length >= _LEAST_LENGTH]
    return [
        c
        for c in texts
        if (c in named and _FEWEST * c.distinct > c.filled)
        or (c in long and 2 * c.distinct > c.filled)
    ]


def roles(columns: Sequence[Column], *, texts: bool | None = None) -> Roles:
    """Guess all of them.

    Args:
        columns: of a sample.
        texts: whether texts are to be encoded, or rows of values; None is guessed.
    """
    id_, id_why = id_column(columns)
    time, time_why = time_column(columns)
    rest = [c for c in columns if c.name not in {id_, time} and c.kind not in {"bytes", "nested"}]
    found = text_columns(rest)
    weak = not found and texts is None and len(_of_values(rest)) < _LEAST_VALUES
    if not found and (texts or weak):
        found = _any_texts(rest)
    if weak and not found and id_ is not None and not _ID.fullmatch(snake(id_)):
        # words in a list are what is to be encoded, and no ids of a number beside them
        words = [c for c in columns if c.name == id_ and c.kind == "text"]
        found, id_ = words, None if words else id_
    why = {"id": id_why, "event_time": time_why}
    if found and texts is not False:
        content = tuple(c.name for c in found)
        why["content"] = _told_texts(found)
        keep = _kept(rest, found)
    else:
        label = _label(rest)
        values = [c for c in _of_values(rest) if c is not label] or [
            c for c in rest if c.kind not in {"url", "text"} and c is not label
        ]
        content = tuple(c.name for c in values)
        why["content"] = "numbers, and columns of few different values"
        keep = () if label is None else (label.name,)
    used = {id_, time, *content, *keep}
    left = tuple(c.name for c in columns if c.name not in used)
    return Roles(
        texts=bool(found) and texts is not False,
        content=content,
        id=id_,
        event_time=time,
        keep=keep,
        why=why,
        weak=weak,
        left=left,
        notes=_notes(columns),
    )


def _of_values(columns: Sequence[Column]) -> list[Column]:
    """Columns that tell rows apart by numbers and categories."""
    return [
        c
        for c in columns
        if c.distinct > 1
        and not _row_number(c)
        and (
            c.kind in {"float", "bool"}
            or (c.kind == "int" and not (c.unique and c.rising))
            or (c.kind == "text" and 2 * c.distinct <= c.filled)
        )
    ]


def _any_texts(columns: Sequence[Column]) -> list[Column]:
    """The longest of the columns of text, where none is a text by its name or length."""
    return sorted((c for c in columns if c.kind == "text"), key=lambda c: -c.length)[:1]


def _told_texts(found: Sequence[Column]) -> str:
    lengths = " and ".join(f"{column.length:,.0f}" for column in found)
    return f"texts of {lengths} characters on average"


def _label(columns: Sequence[Column]) -> Column | None:
    """What rows are to be told apart by, so that it must not be read."""
    able = [c for c in columns if 1 < c.distinct <= _MOST_VALUES and c.name not in COLUMNS]
    return next((c for c in able if _LABEL.fullmatch(snake(c.name))), None)


def _kept(columns: Sequence[Column], texts: Sequence[Column]) -> tuple[str, ...]:
    """What searches show and ask for: categories, and a short text such as a title."""
    named = [c for c in texts[:1] if _TEXTS.fullmatch(snake(c.name)) and len(texts) > 1]
    shown = [c for c in named if c.length <= _SHORT]
    groups = [
        c
        for c in columns
        if c.kind in {"text", "int", "bool"}
        and c not in texts
        and 1 < c.distinct <= _MOST_VALUES
        and (3 * c.distinct <= c.filled or _LABEL.fullmatch(snake(c.name)))
    ]
    kept = [c.name for c in (*groups[: _MOST_KEPT - len(shown)], *shown) if c.name not in COLUMNS]
    return tuple(kept)


def _notes(columns: Sequence[Column]) -> tuple[str, ...]:
    notes = []
    for column in columns:
        if column.kind == "bytes":
            notes.append(
                f"column {column.name!r} holds bytes, which a table's rows are not encoded by; if "
                "they are pictures or sounds, write each to a file and take in that folder"
            )
        if column.kind == "nested":
            notes.append(
                f"column {column.name!r} is nested and not used; give each part that counts a "
                'column of its own: in the file, or of a database by sql = "SELECT ..." for table'
            )
    return tuple(notes)
