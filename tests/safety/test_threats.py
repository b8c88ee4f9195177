"""The threat model names, for each of its lines, tests that are there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "threats.md"
LINES = re.split(r"^(?=\d+\. )", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
TESTS = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def named_in(file: str) -> set[str]:
    """The names of the tests of a file."""
    path = REPOSITORY / file
    nodes = ast.parse(path.read_text("utf-8")).body if path.is_file() else []
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


@pytest.mark.parametrize("line", LINES, ids=[line.partition(".")[0] for line in LINES])
def test_a_line_names_tests_that_are_there(line: str) -> None:
    named = TESTS.findall(line)
    assert named, "no test is named"
    assert [f"{file}::{name}" for file, name in named if name not in named_in(file)] == []


def test_the_lines_are_numbered_without_gaps() -> None:
    numbers = [int(line.partition(".")[0]) for line in LINES]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20
