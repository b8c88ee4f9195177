"""Real Ray clusters on this machine: nodes that have their own processes and their own end.

``python -m tests.ray_cluster CPUS GPUS [CPUS GPUS]...`` starts a node for each pair, the first as
the head, and says where they are. A number on standard input ends that node at once, as if its
machine were gone; the end of the input ends all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SECRET = "correct-horse-battery"  # noqa: S105 - of nobody
"""What ``VECMILL_KEY`` says on every node."""
_TRIES = 3


@dataclass(frozen=True)
class Started:
    """A cluster that runs.

    Attributes:
        address: where it is joined.
        logs: the folder of its logs.
    """

    address: str
    logs: Path
    process: subprocess.Popen[str]

    def end(self, node: int) -> None:
        """End a node at once."""
        self._tell(str(node))

    def stop(self) -> None:
        """End all of them."""
        self.process.communicate(timeout=120)

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def cluster(*nodes: tuple[int, int], **more: str) -> Iterator[Started]:
    """A cluster of nodes with so many cores and GPUs, joined by this process.

    Args:
        nodes: cores and GPUs of each; these are only so called.
        more: of the environment that the nodes have.
    """
    import ray

    # A busy machine may be slower than Ray's patience with itself.
    started = next(filter(None, (_started(nodes, more) for _ in range(_TRIES))), None)
    assert started is not None, f"no Ray cluster of {_TRIES} started"
    try:
        _join(started.address)
        yield started
    finally:
        ray.shutdown()
        started.stop()


def _started(nodes: Sequence[tuple[int, int]], more: Mapping[str, str]) -> Started | None:
    """A new cluster; None where it did not come up."""
    numbers = [str(number) for node in nodes for number in node]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        "PYTHONPATH": str(REPOSITORY), "VECMILL_KEY": SECRET, **more,
    }  # fmt: skip
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "tests.ray_cluster", *numbers],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=environment, cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.communicate()
        return None
    told = json.loads(line)
    return Started(told["address"], Path(told["logs"]), process)


def _join(address: str) -> None:
    """Join a cluster; its workers find the tests' own encoders."""
    import ray

    hook = {"worker_process_setup_hook": "tests.flows.plugins.install"}
    ray.init(address, log_to_driver=False, configure_logging=False, runtime_env=hook)


def main(numbers: list[int]) -> None:
    """Be the cluster."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster()
    keys = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    nodes = [
        cluster.add_node(num_cpus=cpus, num_gpus=gpus, **keys)
        for cpus, gpus in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    told = {"address": cluster.address, "logs": str(Path(nodes[0].get_logs_dir_path()))}
    print(json.dumps(told), flush=True)  # noqa: T201 - to whoever started it
    for line in sys.stdin:
        cluster.remove_node(nodes[int(line)], allow_graceful=False)
        print("done", flush=True)  # noqa: T201 - as above
    cluster.shutdown()


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
