"""What a process on another machine sends back, and what it refuses to begin."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flows.engines import apart
from flows.engines.engine import Direct
from flows.output.redact import RedactedError, remember
from storage.model import OutageError
from tests.conftest import REPOSITORY
from tests.flows.plugins.keyed import DeniedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt
    from tests.flows.project import Project

SECRET = "correct-horse-battery"  # noqa: S105 - of nobody
MISSING = """
import sys
sys.modules["ray"] = None
from flows.engines.engine import direct
from flows.config.settings import Engine, SettingsError
keys = Engine(kind="ray")
makers = [direct]
if sys.argv[1] == "prefect":
    from flows.tasks import Tasks
    makers = [Tasks.of]
for make in makers:
    try:
        make(keys)
    except SettingsError as error:
        print(error)
"""


def test_an_answer_is_a_value_or_an_error_that_travels_without_secrets() -> None:
    remember("VECMILL_KEY", SECRET)
    assert apart.answer(lambda: 3) == apart.Answer(3)

    def cut() -> None:
        raise ConnectionError(f"cut off from https://me:{SECRET}@example.org/")

    def denied() -> None:
        raise DeniedError(SECRET)

    for function, kind in ((cut, ConnectionError), (denied, RedactedError)):
        found = pickle.loads(pickle.dumps(apart.answer(function)))  # noqa: S301 - made a moment ago
        assert type(found.error) is kind
        assert SECRET not in repr(found)
        assert "***@example.org" in str(found.error) or "${VECMILL_KEY}" in str(found.error)


@pytest.mark.parametrize("way", ["direct", pytest.param("prefect", marks=pytest.mark.slow)])
def test_without_ray_it_is_said_how_to_get_it(way: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", MISSING, way],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    assert "pip install 'vecmill[ray]'" in done.stdout, done.stderr


class Elsewhere(Direct):
    """Encodes as a worker does, on shards that are not where it looks."""

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Look beside them."""
        del reporter
        return [apart.encode(job, shard.with_name("nothing"), 0) for shard in shards]


def test_a_machine_that_does_not_see_the_folder_says_so(project: Project) -> None:
    project.write([(1, "a", "x")])
    with pytest.raises(OutageError, match="every node of the cluster must see the folder"):
        project.run(Elsewhere())


class Late(Direct):
    """Encodes, and then a staged file does not show."""

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Take one away."""
        receipts = super().encode(job, shards, reporter)
        receipts[0].staged[0].unlink()
        return receipts


def test_a_staged_file_that_does_not_show_keeps_the_run_from_publishing(project: Project) -> None:
    project.write([(n, f"text {n}", "x") for n in range(20)])
    project.run()
    before = project.rows()
    project.write([(n, f"other {n}", "x") for n in range(20)])
    with pytest.raises(OutageError, match="1 staged files of this run are not there"):
        project.run(Late())
    assert project.rows() == before
    outcome = project.run()
    assert (outcome.counts.changed, outcome.counts.encoded, outcome.counts.resumed) == (20, 8, 12)
