"""Checks of what a configuration says, and words for what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flows.sources.base import COLUMNS, SourceUsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.sources.base import Modality


class RowKeys(Protocol):
    """The keys of every kind of source whose records are rows."""

    @property
    def id(self) -> str | None: ...

    @property
    def content(self) -> str | list[str] | None: ...

    @property
    def event_time(self) -> str | None: ...

    @property
    def keep(self) -> list[str]: ...

    @property
    def types(self) -> dict[str, str]: ...

    @property
    def joiner(self) -> str: ...

    @property
    def null_values(self) -> Sequence[str]: ...


class ParamError(SourceUsageError, ValueError):
    """A key of ``[sources.NAME]`` has a value that cannot be; also a ValueError, for validators."""


def listed(value: str | Sequence[str]) -> list[str]:
    """One or many, as a list."""
    return [value] if isinstance(value, str) else list(value)


def one_of(key: str, value: str, known: Sequence[str]) -> None:
    """Check that a key has one of some values.

    Raises:
        ParamError: if it has not.
    """
    if value not in known:
        raise ParamError(
            f"{key} must be one of {', '.join(known)}, got {value!r}{perhaps(value, known)}"
        )


def check_paths(paths: str | Sequence[str]) -> None:
    """Check that there is a path, and that none is blank.

    Raises:
        ParamError: if that is not so.
    """
    if not paths or not all(path.strip() for path in listed(paths)):
        raise ParamError(f"path must name at least one file or pattern, got {paths!r}")


def check_once(key: str, names: Sequence[str]) -> None:
    """Check that no name comes twice.

    Raises:
        ParamError: if one does.
    """
    doubled = [name for place, name in enumerate(names) if name in names[:place]]
    if doubled:
        raise ParamError(f"{key} names {doubled[0]!r} more than once; leave one out")


def check_kept(names: Sequence[str]) -> None:
    """Check that kept columns can stand beside those that every source gives.

    Raises:
        ParamError: if one has the name of one of those.
    """
    for name in names:
        if name in COLUMNS:
            raise ParamError(
                f"keep cannot hold {name!r}: every record has a column of that name; "
                "rename it in the file, or leave it out"
            )


def check_rows(keys: RowKeys, types: Sequence[str]) -> None:
    """Check what can be checked of the keys of rows before the columns are known.

    Raises:
        ParamError: if a column is named twice, cannot be kept, or is to have an unknown type.
    """
    if keys.content is not None and not keys.content:
        raise ParamError(f"content must name a column, got {keys.content!r}")
    check_once("keep", keys.keep)
    check_once("content", listed(keys.content or ()))
    check_kept(keys.keep)
    check_types(keys.types, types)


def check_types(types: Mapping[str, str], known: Sequence[str]) -> None:
    """Check the names of types.

    Raises:
        ParamError: if one is unknown.
    """
    for column, name in types.items():
        one_of(f"types.{column}", name, known)


def check_modality(modality: Modality, able: Sequence[Modality], kind: str, instead: str) -> None:
    """Check that a source can give what an encoder reads.

    Raises:
        SourceUsageError: if it cannot; ``instead`` says what to use.
    """
    if modality not in able:
        raise SourceUsageError(
            f"a source of kind '{kind}' gives {' and '.join(able)}, not {modality}; {instead}"
        )
