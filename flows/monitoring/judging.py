"""Telling a changed encoder from changed data: who is asked first, and what the others compare.

Where the encoder changed, all that it encoded since differs from all before, whatever the records
say. The canaries as it encodes them now are records from before in its new space: held against
these, a monitor sees what has changed in the data alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import flows.monitors.base
from storage.model import FindingRow

if TYPE_CHECKING:
    import numpy as np

    from flows.config.settings import Monitor
    from flows.monitoring.canaries import Canaries
    from flows.monitoring.references import Absent, Reference
    from flows.monitors.base import Finding, Sample

ANEW = "the canaries, encoded anew, since the encoder changed"
"""What the reference of a finding is then; it belongs to no series of looks."""


@dataclass
class Judge:
    """Asks the monitors of one look, one after the other.

    Attributes:
        reference: what the run is held against; None where there is nothing yet.
        before: its sample.
        now: the run's.
        canaries: encoded again; None where there are none, or no monitor reads them.
        earlier: the monitors that saw no change of the encoder when they looked at this run before:
            one that they see now came after it, and its vectors are of the old space still.
        run_id: the run: canaries that it was the first to encode are no reference for it.
        absent: why there is no reference, where the run is not the first.
    """

    reference: Reference | None
    before: Sample
    now: Sample
    canaries: Canaries | None
    earlier: frozenset[str] = frozenset()
    run_id: str = ""
    absent: Absent | None = None
    _instead: Sample | None = None

    @staticmethod
    def place(monitor: Monitor) -> bool:
        """Sorts the monitors that judge the encoder before all others."""
        return not Judge.of_encoder(monitor)

    @staticmethod
    def of_encoder(monitor: Monitor) -> bool:
        """Whether a monitor judges the encoder, by canaries."""
        return "canaries" in flows.monitors.base.reads(monitor.kind)

    def row(self, monitor: Monitor, rng: np.random.Generator) -> FindingRow:
        """What a monitor says, as it is kept."""
        if self.of_encoder(monitor):
            return self._encoder(monitor, rng)
        if self._instead is None or not flows.monitors.base.of_vectors(monitor.kind):
            finding = self._ask(monitor, self.before, self.now, rng)
            reference = self.reference
            if not flows.monitors.base.compares(monitor.kind):
                return _row(monitor, finding, None, None)
            if reference is None:
                return _row(monitor, self._without_reference(finding), None, None)
            return _row(monitor, finding, reference.manifest.run_id, reference.told)
        finding = self._ask(monitor, self._instead, self.now, rng)
        told = f"{finding.summary}; judged apart from the encoder's change"
        run_id = self.canaries.run_id if self.canaries else None
        return _row(monitor, replace(finding, summary=told), run_id, ANEW)

    def _without_reference(self, finding: Finding) -> Finding:
        if self.absent is None:
            return finding
        told = finding.summary.replace(flows.monitors.base.FIRST, self.absent.told)
        return replace(finding, summary=told)

    def _encoder(self, monitor: Monitor, rng: np.random.Generator) -> FindingRow:
        if self.canaries is None:
            return _row(monitor, self._ask(monitor, self.before, self.now, rng), None, None)
        pair = self.canaries.beside(self.before, self.now)
        finding = self._ask(monitor, *pair, rng)
        if finding.verdict == "alarm" and monitor.name in self.earlier:
            told = f"{finding.summary}; it changed after this run was first looked at"
            detail = finding.detail | {"after_run": 1.0}
            finding = replace(finding, summary=told, detail=detail)
        elif finding.verdict == "alarm" and self.reference is not None:
            self._instead = self.canaries.as_reference(self.before, self.run_id)
        return _row(monitor, finding, self.canaries.run_id, self.canaries.told)

    @staticmethod
    def _ask(monitor: Monitor, before: Sample, now: Sample, rng: np.random.Generator) -> Finding:
        return flows.monitors.base.compare(monitor.kind, before, now, rng, monitor.params)


def _row(
    monitor: Monitor, finding: Finding, reference_run: str | None, reference: str | None
) -> FindingRow:
    given: dict[str, Any] = asdict(finding) | {"monitor": monitor.name, "blocks": monitor.blocks}
    return FindingRow(**given, reference_run=reference_run, reference=reference)
