"""What holds for every test: nothing is fetched, nobody is told, one Prefect home is kept."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.workermanage import WorkerController

    from tests.processes import Forking

REPOSITORY = Path(__file__).parents[1]
# A home for each process that runs tests: two servers do not share one database.
PREFECT_HOME = REPOSITORY / ".cache" / "prefect" / os.environ.get("PYTEST_XDIST_WORKER", "alone")

# Read by Prefect and the model libraries as they are imported, so set before any test is. The home
# is kept between sessions: its database is migrated once, which takes minutes on a busy machine.
os.environ.pop("PREFECT_API_URL", None)
os.environ.pop("VECMILL_CONF", None)
os.environ.update(
    DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
    PREFECT_HOME=str(PREFECT_HOME),
    PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="600",
)
# A run waits for the disk some fifty times, so that a crash loses nothing. Tests make thousands of
# runs: where files are kept in memory instead, the suite takes a fraction of the time.
MEMORY, ROOM = Path("/dev/shm"), 6 * 2**30  # noqa: S108 - pytest makes a folder there that is ours alone
if (
    os.access(MEMORY, os.W_OK)
    and shutil.disk_usage(MEMORY).free > ROOM
    and not {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & os.environ.keys()
):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)
PREFECT_HOME.mkdir(parents=True, exist_ok=True)  # Prefect makes one folder, not its parents

# A machine that others use too is slow for a moment: no test is about a time.
settings.register_profile("patient", deadline=None, parent=settings())
settings.load_profile("patient")

LONG = (
    "test_docs_start.py", "flows/operations/test_serving.py",
    "flows/operations/test_deploying.py", "faults/test_killed.py", "flows/demo/test_demo.py",
    "encoders/test_contract.py", "flows/monitors/test_drift_rates.py", "faults/test_many.py",
    "flows/commands/test_cli.py", "faults/test_full.py", "flows/upkeep/test_erase_interrupted.py",
    "flows/monitors/test_contract.py", "flows/ui/test_browser.py", "encoders/test_elmo.py",
    "test_readme.py", "flows/engines/test_prefect.py", "flows/pipeline/test_backfill.py",
    "safety/test_secrets.py", "storage/test_standings_killed.py",
    "flows/pipeline/test_random_chunks.py", "flows/pipeline/test_random_histories.py",
    "flows/pipeline/test_random_edits.py", "flows/upkeep/test_gc.py",
    "flows/pipeline/test_crash.py", "flows/pipeline/test_concurrent.py", "encoders/test_bert.py",
    "encoders/test_conv_autoencoder.py", "flows/monitors/test_analytic.py",
    "flows/ui/test_pages.py", "test_notebook.py", "test_docs_search.py",
    "flows/operations/test_jobs.py", "flows/maps/test_map_page.py", "flows/test_use.py",
    "flows/maps/test_projection.py",
)  # fmt: skip
"""Files that take longest, roughly in that order: more than some twenty seconds of a core each."""

TENSORFLOW = REPOSITORY / ".venv-use" / "bin" / "python"
if TENSORFLOW.exists():
    os.environ.setdefault("VECMILL_USE_PYTHON", str(TENSORFLOW))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="the files of the unit part alone")


def pytest_configure(config: pytest.Config) -> None:
    """Hold the processes that run the unit part to its promise; what starts them cannot keep it."""
    alone = not config.getoption("numprocesses", None)
    if config.getoption("--unit") and (alone or "PYTEST_XDIST_WORKER" in os.environ):
        unit.hold_to_it()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out, unread, the files that are not of the part asked for.

    And folders without any that is, so that their conftest.py is not imported.
    """
    if not config.getoption("--unit"):
        return None
    has_tests = collection_path.match("test_*.py") or (
        collection_path.is_dir() and collection_path.is_relative_to(unit.TESTS)
    )
    return True if has_tests and not unit.is_unit(collection_path) else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController, error: object) -> None:
    """Tell how a process of the tests ended that was not to end: -9 where it was killed."""
    import subprocess

    if error:
        try:
            code = node.gateway._io.popen.wait(60)  # noqa: SLF001 - nobody else knows
        except subprocess.TimeoutExpired:
            code = "nothing: it lives, and has closed its pipes"
        sys.stderr.write(f"\n{node.gateway.id} ended with {code}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first, so that no process is left alone with one at the end.

    All other files, and what is in each, keep the order that they came in, which is a random one.
    """
    rank = {REPOSITORY / "tests" / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data sets; skips where they are not to be had."""
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        pytest.skip("VECMILL_TEST_DATA is not set: no real data here")
    return Path(folder)


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog without rows: to make one takes longer than most tests, to copy one does not."""
    from storage.catalog import Catalog

    path = tmp_path_factory.mktemp("empty") / "catalog.duckdb"
    with Catalog(path).transaction():
        return path


@pytest.fixture(scope="session")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    """An interpreter that has imported what a run needs, and forks for each piece of code."""
    from tests.processes import Forking

    found = Forking(tmp_path_factory.mktemp("forking"))
    yield found
    found.close()
