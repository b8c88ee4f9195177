"""How a version's table is to hold its vectors: as float32, or as its encoder's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders import registry
from encoders.codes import Coded
from flows.pipeline import fitting
from storage.codes import Codes

if TYPE_CHECKING:
    from pathlib import Path

    from storage.model import Version


def codes_of(version: Version, states: Path, root: Path) -> Codes | None:
    """What the vectors of a version are held by; None as float32."""
    if not registry.coded(version.kind):
        return None
    encoder = fitting.encoder_of(version, states, root)
    if not isinstance(encoder, Coded):
        return None
    found = encoder.codes()
    return Codes(found.bits, found.scale, found.zero)
