"""Names that are made from content: content hashes, fingerprints, run ids.

All are hex digests of BLAKE2b, cut to 128 bits: two of a trillion records collide with
probability under 1e-14, and half the bytes are saved in every table.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIGEST_BYTES = 16


def hash_bytes(content: bytes) -> str:
    """The content hash of raw bytes, 32 hex characters."""
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def hash_text(content: str) -> str:
    """The content hash of a text (as UTF-8; lone surrogates are kept apart, not refused)."""
    return hash_bytes(content.encode("utf-8", "surrogatepass"))


def hash_row(names: Sequence[str], values: Sequence[object]) -> str:
    """The content hash of a typed row; the order of its columns does not matter.

    A whole number hashes the same as integer and as float, because the type that a reader infers
    for a column can change with one more row in the file while this row stays what it was.
    """
    row = {name: _plain(value) for name, value in zip(names, values, strict=True)}
    return hash_text(json.dumps(row, sort_keys=True, ensure_ascii=False, default=str))


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def fingerprint(recipe: Mapping[str, object]) -> str:
    """The fingerprint of an encoder: a hash of all that decides its output.

    Raises:
        TypeError: if the recipe holds what JSON cannot, since its hash would then not be stable.
    """
    return hash_text(json.dumps(recipe, sort_keys=True, ensure_ascii=False, allow_nan=False))


def new_run_id(now: datetime | None = None) -> str:
    """A run id that sorts by time, to the microsecond: ``20260131T235959-f423f1a2b3c``, in UTC.

    Histories rely on the order: of two contents that a record had at one time, that of the later
    run counts.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}-{moment.microsecond:05x}{secrets.token_hex(3)}"


def seed(text: str) -> int:
    """A seed for a random generator that depends on a text alone."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
