"""Tables of a configuration to dataclasses, with errors that name the place and the remedy."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from encoders import registry
from flows.config.nearest import hint
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pydantic import TypeAdapter

T = TypeVar("T")


def parse_params(kind: str, keys: Mapping[str, Any]) -> object:
    """The parameters of an encoder kind from plain values, checked as those of a file are."""
    return parse(registry.params_type(kind), dict(keys), f"the encoder {kind!r}")


def parse(kind: type[T], keys: Any, where: str, *also: str) -> T:  # noqa: ANN401 - TOML
    """The dataclass that a table of a configuration gives.

    Args:
        kind: the dataclass; its fields are the keys.
        keys: the table.
        where: as it is called in the file, for errors.
        also: keys that are allowed beside the fields.

    Raises:
        SettingsError: if a key is unknown or missing, or a value does not fit.
    """
    from pydantic import ValidationError

    if not isinstance(keys, dict):
        raise SettingsError(f"{where} must be a table, got {keys!r}")
    fields = dataclasses.fields(cast("Any", kind))
    refuse_unknown(keys, [*also, *(f.name for f in fields)], where)
    for field_ in fields:
        # Numbers may come as strings, from the environment; but true is no number.
        if isinstance(keys.get(field_.name), bool) and "bool" not in str(field_.type):
            value = str(keys[field_.name]).lower()
            expected = getattr(field_.type, "__name__", field_.type)
            raise SettingsError(f"{where} {field_.name} = {value}: expected {expected}")
    try:
        found: T = _adapter(cast("Any", kind)).validate_python(keys)
    except ValidationError as error:
        told = _describe(error.errors(include_url=False), keys, where)
        raise SettingsError("; ".join(told), told) from error
    return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a dataclass, which hashes as all do
    """What checks tables for a dataclass: milliseconds to make, so made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _describe(
    errors: Iterable[Mapping[str, Any]], keys: Mapping[str, Any], where: str
) -> list[str]:
    """One clause a key; a key that may be of several types has an error for each of them."""
    clauses: dict[str, list[str]] = {}
    for error in errors:
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        name = str(error["loc"][0]) if error["loc"] else ""
        inner = str(error["loc"][-1]) if len(error["loc"]) > 1 else None
        if error["type"] == "missing":
            place = where if inner is None else f"{where} {name}"
            clauses[f"{place} needs the key {(inner or name)!r}"] = []
        elif error["type"] == "unexpected_keyword_argument":
            clauses[f"unknown key {inner!r} in {where} {name}"] = []
        elif error["type"] == "value_error" and name:
            clauses[f"{where} {name}: {message}"] = []
        elif not name:
            clauses[f"{where}: {message}"] = []
        else:
            clause = clauses.setdefault(f"{where} {name} = {keys[name]!r}: expected ", [])
            if error["type"] == "dataclass_type":
                message = "a table of keys"
            clause.extend([message] if message not in clause else [])
    return [clause + " or ".join(messages) for clause, messages in clauses.items()]


def refuse_unknown(keys: Iterable[str], known: Collection[str], where: str) -> None:
    """Refuse a key that is not among the known ones.

    Raises:
        SettingsError: with the nearest known key.
    """
    for key in keys:
        if key not in known:
            raise SettingsError(f"unknown key {key!r} in {where}{hint(key, known)}")
