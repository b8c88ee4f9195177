"""Statements of SQL changed, one word at a time: which change does no test see?

``python -m tests.sql_mutants [FILE ...]`` does to the SQL in our texts what mutmut does to Python:
it turns a comparison round, leaves a condition or a join out, takes the greatest for the least, and
runs the tests on each change (DeMillo, Lipton and Sayward 1978, "Hints on test data selection"; for
SQL, Tuya, Suarez-Cabal and de la Riva 2007, "Mutating database queries"). What is changed is the
code of functions that are loaded already, so a change costs the tests' own time, and no file is
touched.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
import types
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
_QUICK = [
    *("tests/storage/test_difference_counts.py", "tests/storage/test_difference_rows.py"),
    *("tests/storage/test_difference_histories.py", "tests/storage/test_difference_parts.py"),
]
_TESTS = [*_QUICK, "tests/storage/test_random_differences.py"]
FILES = {
    "storage/_difference_sql.py": _TESTS,
    "storage/_difference_scratch.py": _TESTS,
    "storage/_difference_chunks.py": _TESTS,
    "storage/_difference_told.py": _TESTS,
    "storage/_difference_rows.py": _TESTS,
    "storage/_difference_parts.py": _QUICK[::-1],
}
"""Files with SQL, and the tests that each is put to; the quick ones first."""

_SQL = re.compile(
    r"\b(SELECT|FROM|JOIN|WHERE|CASE|UPDATE|PARTITION BY|ORDER BY|UNION)\b|' (OR|AND) '"
)
_TERM = r"(?:epoch_us\(\w+\)|[\w.{}]+)"
_LIST = r"\((?:[^()]|\([^()]*\))*\)"
_CONDITION = (
    rf"{_TERM} (?:(?:=|<>|<=?|>=?) {_TERM}|IS (?:NOT )?NULL|IS DISTINCT FROM {_TERM}"
    rf"|(?:NOT )?IN {_LIST})"
)
_JOIN = rf"\b(?:ANTI|SEMI) JOIN (?:\w+(?: \w)?|{_LIST}) (?:USING {_LIST}|ON {_CONDITION})"
_ORDER = r"\bORDER BY [\w.]+(?: DESC)?"
_RULES = [
    *((r"\bANTI JOIN\b", "SEMI JOIN"), (r"\bSEMI JOIN\b", "ANTI JOIN"), (_JOIN, "")),
    *((r"\bLEFT JOIN\b", "JOIN"), (r"(?<!LEFT )(?<!ANTI )(?<!SEMI )\bJOIN\b", "LEFT JOIN")),
    *((_CONDITION, "true"), (_CONDITION, "false"), (r"\bNOT (?=IN\b|starts_with|lasting)", "")),
    *((r"\bIS NULL\b", "IS NOT NULL"), (r"\bIS NOT NULL\b", "IS NULL")),
    *((r"\bAND\b", "OR"), (r"\bOR\b(?! REPLACE)", "AND")),
    *((r" = ", " <> "), (r" <> ", " = "), (r" >= ", " > "), (r" > ", " >= "), (r" < ", " <= ")),
    *((r"\btrue\b", "false"), (r"\bfalse\b", "true")),
    *((r" \+ ", " - "), (r" - ", " + "), (r"\b0\b", "1"), (r"\b1\b", "2")),
    *((r"\b(arg_)?min\(", r"\1max("), (r"\bbool_or\(", "bool_and(")),
    (r"(?<!IS )\bDISTINCT ", ""),
    *(
        (r"(?<!IS )\bDISTINCT ", ""),
        (r"\bUNION ALL\b", "UNION"),
        (r"\bUNION\b(?! ALL)", "UNION ALL"),
    ),
    *((rf" ?{_ORDER}(?:, [\w.]+)*", ""), (rf"({_ORDER}), [\w.]+", r"\1")),
    *((r"(\bORDER BY [\w.]+)\b(?! DESC)", r"\1 DESC"), (r" DESC\b", "")),
    *((r"\bPARTITION BY \w+(?:, \w+)* ", ""), (r"(\bPARTITION BY \w+), \w+", r"\1")),
    *((r"(?<=IN \()('\w+'), ", ""), (r"(?<='), '\w+'(?=[,)])", "")),
]
"""What is changed, and into what: regular expressions over the text of a string."""


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        line: which line of it, from 1.
        old, new: the text before and after.
        source: all of the file.
    """

    line: int
    old: str
    new: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Each change of a file's SQL, none twice."""
    met = {source}
    for start, text in _statements(source):
        for rule, into in _RULES:
            for found in re.finditer(rule, text):
                at = start + found.start()
                new = found.expand(into)
                changed = source[:at] + new + source[at + len(found[0]) :]
                if changed not in met:
                    met.add(changed)
                    yield Mutant(source.count("\n", 0, at) + 1, found[0], new, changed)


def _statements(source: str) -> Iterator[tuple[int, str]]:
    """The strings that hold SQL, each with where it begins."""
    lines = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING and _SQL.search(token.string):
            yield lines[token.start[0] - 1] + token.start[1], token.string


def put(module: types.ModuleType, source: str) -> None:
    """Have a module that is loaded do as another text of it says, wherever it was imported to."""
    fresh = types.ModuleType(module.__name__)
    exec(compile(source, str(module.__file__), "exec"), vars(fresh))  # noqa: S102 - our own code
    _put(vars(module), vars(fresh), module)


def _put(ours: Mapping[str, object], fresh: Mapping[str, object], owner: object) -> None:
    for name, new in fresh.items():
        old = ours.get(name)
        if isinstance(new, types.FunctionType) and isinstance(old, types.FunctionType):
            old.__code__ = new.__code__
        elif isinstance(new, type) and isinstance(old, type) and new is not old:
            _put(vars(old), vars(new), old)
        elif isinstance(new, str) and not name.startswith("__"):
            setattr(owner, name, new)


def survives(tests: Sequence[str]) -> bool:
    """Whether the tests all pass."""
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        code = pytest.main([
            "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not slow",
            "--timeout", "120", *tests,
        ])  # fmt: skip
    if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return code == pytest.ExitCode.OK
    raise RuntimeError(f"pytest ended with {code!r}:\n{told.getvalue()}")


def main(files: Sequence[str]) -> None:
    """Put each change of these files to the tests, and tell of those that pass."""
    for file in files:
        source = (ROOT / file).read_text(encoding="utf-8")
        module = import_module(file.removesuffix(".py").replace("/", "."))
        if not survives(FILES[file]):
            raise SystemExit(
                f"the tests of {file} fail before anything is changed; mend them first"
            )
        made = seen = 0
        for mutant in mutants(source):
            made += 1
            try:
                put(module, mutant.source)
                survived = survives(FILES[file])
            finally:
                put(module, source)
            seen += not survived
            if survived:
                _tell(f"{file}:{mutant.line}: {mutant.old!r} -> {mutant.new!r}")
        _tell(f"{file}: {made} changed, {seen} seen, {made - seen} not")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or [*FILES])
