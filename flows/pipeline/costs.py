"""What encoding costs, for encoders that are paid by use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import registry
from flows.config.parsing import parse_params
from flows.config.templates import fill
from flows.pipeline.decode import decode

if TYPE_CHECKING:
    import polars as pl

    from flows.config.settings import Plugin
    from storage.model import Version


@dataclass
class Costs:
    """The sum over all contents added; ``amount`` stays None where the encoder costs nothing."""

    kind: str
    params: object
    amount: float | None = None
    currency: str | None = None

    @classmethod
    def configured(cls, encoder: Plugin) -> Costs:
        """For an encoder as the configuration has it."""
        return cls(encoder.kind, encoder.params)

    @classmethod
    def of(cls, version: Version) -> Costs:
        """For the encoder of a version."""
        params = fill(dict(version.params), f"the encoder of {version.table}")
        return cls(version.kind, parse_params(version.kind, params))

    def add(self, contents: pl.Series) -> None:
        """Add contents that are to be encoded (see `flows.sources.base.Chunk`)."""
        if registry.price(self.kind, self.params, []) is None or not len(contents):
            return
        decoded = decode(registry.modality(self.kind, self.params), contents)
        priced = registry.price(self.kind, self.params, decoded.batch)
        if priced is not None:
            amount, self.currency = priced
            self.amount = (self.amount or 0.0) + amount
