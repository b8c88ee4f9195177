"""The samples that monitors are given: rows of a published state, with what the monitors read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import flows.monitors.base
from flows.lifecycle.chosen import kept_columns
from flows.matrices import matrix
from flows.monitoring.sketching import Sketching
from flows.monitors._analytic import LEAST
from flows.monitors.base import Sample
from flows.output.progress import listener

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from flows.config.settings import Monitor
    from flows.config.stores import Stores
    from flows.monitoring.references import Reference
    from flows.monitors._sketch import Sketch
    from storage.model import Manifest, Version

MAX_ROWS = 10_000
"""Rows a side that monitors are given at most, drawn evenly: memory stays flat."""

_ALIKE = {"graph", "interactions"}
"""Modalities whose contents name their records."""


@dataclass(frozen=True)
class Samples:
    """Draws samples of one version, for some monitors.

    Attributes:
        reads: what these look at beside the vectors.
        fewest: rows a side that some of them looks at, at most; where there are more, sketches
            are of use.
    """

    stores: Stores
    version: Version
    reads: frozenset[str]
    fewest: int = MAX_ROWS

    @classmethod
    def for_(cls, stores: Stores, version: Version, monitors: Sequence[Monitor]) -> Samples:
        """Samples with what these monitors read."""
        reads = [flows.monitors.base.reads(monitor.kind) for monitor in monitors]
        fewest = [getattr(monitor.params, "max_rows", MAX_ROWS) for monitor in monitors]
        return cls(stores, version, frozenset().union(*reads), min([MAX_ROWS, *fewest]))

    def pair(
        self, reference: Reference | None, current: Manifest, rng: np.random.Generator
    ) -> tuple[Sample, Sample]:
        """What is held against what: the reference, empty where there is none, and the run."""
        now = self._draw(current, [current.run_id], rng)
        if reference is None:
            return replace(now, vectors=now.vectors[:0], record_ids=[], content_hashes=[],
                           kept={name: [] for name in now.kept}), now  # fmt: skip
        theirs = self._draw(reference.manifest, reference.runs, rng)
        ours, before = self._sketches(reference, current)
        return replace(theirs, sketch=before), replace(now, sketch=ours)

    def _sketches(
        self, reference: Reference, current: Manifest
    ) -> tuple[Sketch | None, Sketch | None]:
        """Of the run and of the reference; none where every row is looked at anyway."""
        manifests = self.stores.catalog.manifests(self.version)
        wrote = [m for m in manifests if m.run_id in (reference.runs or ())]
        there = reference.manifest.rows
        if reference.runs is not None:
            there = sum(m.counts.new + m.counts.changed for m in wrote)
        here = current.counts.new + current.counts.changed
        if "sketch" not in self.reads or max(here, there) <= self.fewest or here < LEAST:
            return None, None
        sketching = Sketching(self.stores, self.version, manifests, listener().note)
        before, ours = sketching.pair(reference, current)
        return ours, before

    def _draw(
        self, manifest: Manifest, runs: Sequence[str] | None, rng: np.random.Generator
    ) -> Sample:
        kept = kept_columns(self.stores, self.version, manifest) if "kept" in self.reads else []
        rows = self.stores.vectors.sample(
            *(self.version.table, manifest.lance_version, MAX_ROWS, rng, runs),
            columns=kept,
            history=self.version.history,
        )
        return Sample(
            matrix(rows.column("vector"), self.version.dim),
            rows.column("record_id").to_pylist(),
            rows.column("content_hash").to_pylist(),
            {name: rows.column(name).to_pylist() for name in kept},
            alike=self.version.modality in _ALIKE,
        )
