"""What changes SQL changes each of its words, puts it to what is loaded, and takes it back."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from tests.sql_mutants import FILES, ROOT, mutants, put

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''"""What is asked of what was seen."""

RECENT = "SELECT DISTINCT name FROM seen ANTI JOIN dead USING (name) WHERE at >= 1 ORDER BY at"


class Asked:
    def one(self, column: str) -> str:
        return f"SELECT min({column}) FROM seen"
'''


def changes(statement: str) -> set[str]:
    return {eval(mutant.source) for mutant in mutants(repr(statement))}  # noqa: S307 - a string


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("FROM a SEMI JOIN b USING (c)", {"FROM a ANTI JOIN b USING (c)", "FROM a "}),
        ("FROM a LEFT JOIN b USING (c)", {"FROM a JOIN b USING (c)"}),
        ("FROM a JOIN b USING (c)", {"FROM a LEFT JOIN b USING (c)"}),
        (
            "WHERE a <> b AND c IS NULL",
            {
                "WHERE true AND c IS NULL", "WHERE false AND c IS NULL", "WHERE a <> b AND true",
                "WHERE a <> b AND false", "WHERE a <> b AND c IS NOT NULL",
                "WHERE a <> b OR c IS NULL", "WHERE a = b AND c IS NULL",
            },
        ),
        ("WHERE {a} IS DISTINCT FROM b", {"WHERE true", "WHERE false"}),
        (
            "WHERE a NOT IN (SELECT f(b) FROM c)",
            {"WHERE true", "WHERE false", "WHERE a IN (SELECT f(b) FROM c)"},
        ),
        (
            "SELECT o IN ('x', 'y')",
            {"SELECT true", "SELECT false", "SELECT o IN ('x')", "SELECT o IN ('y')"},
        ),
        (
            "SELECT a, b - 1 UNION ALL",
            {"SELECT a, b + 1 UNION ALL", "SELECT a, b - 2 UNION ALL", "SELECT a, b - 1 UNION"},
        ),
        (
            "(PARTITION BY a, b ORDER BY c DESC, d)",
            {
                "(ORDER BY c DESC, d)", "(PARTITION BY a ORDER BY c DESC, d)",
                "(PARTITION BY a, b)",
                "(PARTITION BY a, b ORDER BY c DESC)", "(PARTITION BY a, b ORDER BY c, d)",
            },
        ),
        ("no statement: a = b", set()),
    ],
)  # fmt: skip
def test_each_word_is_changed_by_itself(statement: str, changed: set[str]) -> None:
    assert changes(statement) == changed


def test_a_change_is_put_to_what_is_loaded_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked_in_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("asked_in_a_test")
    asked = module.Asked()
    made = [*mutants(SOURCE)]
    assert {mutant.line for mutant in made} == {3, 8}
    told = set()
    for mutant in made:
        put(module, mutant.source)
        told.add((module.RECENT, asked.one("n")))
    assert len(told) == len(made)
    put(module, SOURCE)
    assert asked.one("n") == "SELECT min(n) FROM seen"
    assert (module.RECENT, "SELECT max(n) FROM seen") in told
    del sys.modules["asked_in_a_test"]


def test_what_is_put_to_the_test_is_there() -> None:
    for file, tests in FILES.items():
        assert all((ROOT / name).is_file() for name in (file, *tests))
        assert [*mutants((ROOT / file).read_text(encoding="utf-8"))]
