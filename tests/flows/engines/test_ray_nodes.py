"""A Ray cluster that loses a node in the middle of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from flows.engines.engine import direct
from flows.pipeline import stages as pipeline
from tests import ray_cluster
from tests.flows.project import Project
from tests.flows.shop import Heard

pytest.importorskip("ray", reason="Ray is not installed: pip install 'vecmill[ray]'")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ROWS = [(n, f"text {n % 50}", f"label {n % 3}") for n in range(60)]


@dataclass
class Ending(Heard):
    """Ends a node as soon as a shard is done."""

    cluster: ray_cluster.Started | None = None
    encodes: bool = False

    def stage(self, feature: str, name: str, total: int | None) -> None:  # noqa: ARG002 - as reporters have it
        """See what is being done."""
        self.encodes = name == "encode"

    def advance(self, records: int) -> None:  # noqa: ARG002 - as above
        """End the node, once."""
        if self.encodes and self.cluster is not None:
            self.cluster.end(1)
            self.cluster = None


def test_a_node_that_is_gone_amid_a_run_costs_nothing_but_time(
    project: Project, tmp_path: Path
) -> None:
    project.write(ROWS)
    at = {"log": str(project.root / "encoded.jsonl"), "places": str(project.root / "places.jsonl")}
    project.encoder = {"kind": "placed", "pause": 0.5, **at}
    project.engine = {"kind": "ray", "workers": 2, "retries": 2, "shard_size": 4}
    with ray_cluster.cluster((1, 0), (1, 0)) as cluster:
        heard = Ending(cluster=cluster)
        settings = project.settings()
        outcome = pipeline.embed(settings, "notes", direct(settings.engine), heard)
    assert heard.cluster is None, "no node was ended"
    assert (outcome.counts.encoded, outcome.rows) == (50, 60)
    local = Project(tmp_path / "local")
    local.root.mkdir()
    local.write(ROWS)
    local.run()
    columns = ("vector", "content_hash", "label")
    theirs, ours = project.rows(), local.rows()
    assert {i: [theirs[i][c] for c in columns] for i in theirs} == {
        i: [ours[i][c] for c in columns] for i in ours
    }
