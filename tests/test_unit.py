"""What the unit part is, and that it is held to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import unit
from tests.processes import python

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("storage/test_swaps.py", True),
        ("storage/test_catalog.py", True),
        ("storage/test_ids.py", False),  # starts a process, by a helper of the tests
        ("flows/pipeline/test_pipeline.py", False),  # makes runs
        ("encoders/test_pca.py", False),  # torch, within a function of an encoder's helper
        ("flows/commands/test_sql_command.py", False),  # makes runs, by the conftest.py beside it
        ("flows/monitors/test_drift_rates.py", False),  # rates of error
        ("faults", False),
        ("storage", True),
    ],
)
def test_a_file_is_of_the_unit_part_by_what_it_leads_to(name: str, *, expected: bool) -> None:
    assert unit.is_unit(TESTS / name) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import json", True),
        ("def test_it():\n    from torch import nn", False),
        ("import torchless", True),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import json", True),
        ("if TYPE_CHECKING:\n    import json\nelse:\n    import torch", False),
        ("from tests.processes import python", False),
    ],
)
def test_imports_count_where_they_run(tmp_path: Path, text: str, *, expected: bool) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text, "utf-8")
    assert unit.is_unit(file) is expected


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import torch", "import"),
    ],
)
def test_what_breaks_the_promise_is_refused(code: str, event: str) -> None:
    told = python(
        "from tests import unit; unit.hold_to_it()\n"
        f"try:\n    {code}\nexcept RuntimeError as error:\n    print(error)"
    ).communicate()[0]
    assert f"a test of the unit part led to {event}" in told
