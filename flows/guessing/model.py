"""What is guessed, and what the user has said already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from flows.sources.base import Modality

Value: TypeAlias = "str | int | bool | list[str] | dict[str, str]"


@dataclass(frozen=True)
class Line:
    """A key of the configuration.

    Attributes:
        why: the reason, or what the key is for; stands beside it as a comment.
    """

    key: str
    value: Value
    why: str = ""


@dataclass(frozen=True)
class Wishes:
    """What the user has said; None is to be guessed, and an empty string means none.

    Attributes:
        name: of the feature.
        id: column of ids.
        content: columns to encode.
        keep: columns stored beside the vector.
        event_time: column of event times.
        encoder: its kind.
        pattern: of the paths of files.
        table: of a database.
    """

    name: str | None = None
    id: str | None = None
    content: tuple[str, ...] | None = None
    keep: tuple[str, ...] | None = None
    event_time: str | None = None
    encoder: str | None = None
    pattern: str | None = None
    table: str | None = None


@dataclass(frozen=True)
class Coder:
    """An encoder: the name of its section, its kind, and its keys."""

    name: str
    kind: str
    keys: tuple[Line, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Guess:
    """A source, an encoder and a feature for records that were looked at.

    Attributes:
        name: of the source and the feature.
        what: what was found, in words.
        kind: of the source.
        modality: of the records.
        source: its keys.
        encoder: what turns them into vectors.
        feature: keys of the feature besides source and encoder.
        notes: what the user should know or may want to change.
        example: a query for a search of them: an option and its value.
        size: bytes that a plan has to read; None where nobody knows.
        needs: variables of the environment that a password was put into, to be set before each run.
    """

    name: str
    what: str
    kind: str
    modality: Modality
    source: tuple[Line, ...]
    encoder: Coder
    feature: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    example: tuple[str, str] | None = None
    size: int | None = 0
    needs: tuple[str, ...] = ()


class GuessError(SettingsError):
    """Nothing can be made of a path; the message says what was found and what to do."""
