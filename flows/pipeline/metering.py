"""What the encoder of a run used: paid for, it counts whether its attempt went well or not."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from encoders.metering import Metered, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from encoders.base import Encoder


@contextmanager
def metered(encoder: Encoder, shard: Path) -> Iterator[Encoder]:
    """The encoder for one attempt at a shard; what that used is put down however it ends."""
    if not isinstance(encoder, Metered):
        yield encoder
        return
    meter = encoder.in_run(shard.parent.name)
    try:
        yield meter
    finally:
        with _ledger(shard).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(meter.used())) + "\n")


def used(shard: Path) -> Usage | None:
    """What all attempts at a shard used; None for encoders that do not count."""
    if not _ledger(shard).exists():
        return None
    lines = _ledger(shard).read_text("utf-8").splitlines()
    return sum((Usage(**json.loads(line)) for line in lines), Usage())


def _ledger(shard: Path) -> Path:
    # A name that `storage.staging.clear_leftovers` takes away with the shard.
    return shard.with_suffix(".used")
