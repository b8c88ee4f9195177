"""The example notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import io
import re
import subprocess
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTEBOOK = REPOSITORY / "docs" / "examples" / "first_look.ipynb"

pytestmark = [
    pytest.mark.slow,
    # of Jupyter's own: its sockets are of this machine alone, and its event loop is tornado's
    pytest.mark.filterwarnings("ignore"),
]


def outputs(notebook: Any) -> Iterator[str]:  # noqa: ANN401 - nbformat's nodes have no types
    """What the cells show, as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text") or output.get("data", {}).get("text/plain", "")


@pytest.fixture(scope="module")
def shown() -> Iterator[str]:
    """What the cells show, run one after another as Jupyter runs them, but in this process.

    So the model is loaded once, and not by each command anew.
    """
    nbformat = pytest.importorskip("nbformat")
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    notebook = nbformat.read(NOTEBOOK, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)  # the first cell goes to a folder of its own
        patch.setenv("MPLBACKEND", "agg")
        patch.delenv("VECMILL_CONF", raising=False)
        patch.setattr(subprocess, "run", in_this_process)
        shell = interactive.instance()
        try:
            yield "\n".join(
                run(shell, cell.source) for cell in notebook.cells if cell.cell_type == "code"
            )
        finally:
            interactive.clear_instance()


def run(shell: Any, source: str) -> str:  # noqa: ANN401 - IPython's shells have no types
    """Run a cell, and give what it prints and what it ends with, as text."""
    from IPython.utils.capture import capture_output

    with capture_output(display=False) as captured:
        result = shell.run_cell(source)
    result.raise_error()
    return f"{captured.stdout}\n{'' if result.result is None else result.result}"


def in_this_process(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    """What ``vecmill ARGUMENTS`` prints."""
    program, *arguments = command
    assert program == "vecmill"
    out = io.StringIO()
    with redirect_stdout(out):
        assert run_command(arguments) == 0
    return subprocess.CompletedProcess(command, 0, out.getvalue())


def test_a_changed_record_is_all_that_is_encoded_again(shown: str) -> None:
    runs = re.findall(r"│ \d{8}T\S+ ┆ (\d+)\s+┆ (\d+)", shown)
    (first, encoded), (second, again) = runs
    assert first == second
    assert int(encoded) > 100
    assert again == "1"


def test_what_is_near_to_a_sentence_is_about_it(shown: str) -> None:
    near = re.findall(r"│ (\S+)\s+┆ random ┆ 0\.\d+", shown)
    assert near[0] == "random.Random.sample"


def test_neighbours_tell_more_than_the_largest_class(shown: str) -> None:
    found = re.search(r"right: (0\.\d+), the largest class: (0\.\d+)", shown)
    assert found is not None
    assert float(found[1]) > 2 * float(found[2])


def test_it_is_kept_with_what_it_shows_and_no_error_of_a_machine() -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, 4)
    kept = "\n".join(outputs(notebook))
    assert "random.Random.sample" in kept
    streams = {out.get("name") for cell in notebook.cells for out in cell.get("outputs", [])}
    assert "stderr" not in streams
    assert "/home" not in kept
    assert "Traceback" not in kept
