"""How what a report says can be had again: commands, and the states and seeds that they go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.ids import seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.reports.model import Watched
    from storage.model import Manifest, Version


def commands(version: Version, findings: Sequence[Watched]) -> tuple[tuple[str, str], ...]:
    """Commands, each with what it does."""
    feature, number = version.feature, version.version
    found = [
        (f"vecmill monitor {feature} --version {number}", "looks again, by the same seeds"),
        (f"vecmill report {feature} --version {number}", "writes this page"),
        (f"vecmill recipe {feature} {number}", "tells all that made the vectors"),
        (f"vecmill versions {feature}", "lists the versions"),
    ]
    for run in dict.fromkeys(w.now.run_id for w in findings):
        sql = f"FROM findings WHERE run_id = '{run}'"
        found.append((f'vecmill sql "{sql}"', "gives the findings as they are kept"))
    return tuple(found)


def states(
    version: Version, manifests: Sequence[Manifest], findings: Sequence[Watched]
) -> tuple[tuple[str, str], ...]:
    """What was read, each by what it is: runs and the Lance versions of their states, seeds."""
    return tuple(_states(version, {m.run_id: m for m in manifests}, findings))


def _states(
    version: Version, manifests: Mapping[str, Manifest], findings: Sequence[Watched]
) -> Iterator[tuple[str, str]]:
    yield "Table", version.table
    yield "Fingerprint", version.fingerprint
    if version.state is not None:
        yield "Fitted state", version.state
    if version.code_version is not None:
        yield "Vecmill that made the version", version.code_version
    for run in dict.fromkeys(w.reference_run for w in findings if w.reference_run):
        yield "Reference", _state(run, manifests.get(run))
    for run in dict.fromkeys(w.now.run_id for w in findings):
        yield "Run looked at", _state(run, manifests.get(run))
        yield "Seed of its samples", str(seed(run))
    yield from _seeds(findings)


def _seeds(findings: Sequence[Watched]) -> Iterator[tuple[str, str]]:
    for watched in sorted(findings, key=lambda w: w.monitor):
        told = f"{watched.now.run_id} {watched.monitor}"
        yield f"Seed of {watched.monitor}", f"{seed(told)}"


def _state(run: str, manifest: Manifest | None) -> str:
    if manifest is None:
        return f"{run}, not published"
    gone = f", cleaned away by {manifest.forgotten_by}" if manifest.forgotten_at else ""
    return f"{run}, Lance version {manifest.lance_version}{gone}"
