"""What mutmut leaves is read by what each change does, and held against what is known."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

import pytest

from tests.python_mutants import HERE, Change, Found, found, known, lines, report, told

if TYPE_CHECKING:
    from pathlib import Path

LEFT = '''
class Runs:
    def xǁRunsǁadd__mutmut_orig(self, keys, times=4):
        """Add keys."""
        if len(keys) > 1:
            self.runs.append(sorted(keys, key=len))

    def xǁRunsǁadd__mutmut_1(self, keys, times=5):
        """Add keys."""
        if len(keys) > 1:
            self.runs.append(sorted(keys, key=len))

    def xǁRunsǁadd__mutmut_2(self, keys, times=4):
        """Add keys."""
        if len(keys) >= 1:
            self.runs.append(sorted(keys, key=len))

    def xǁRunsǁadd__mutmut_3(self, keys, times=4):
        """Add keys."""
        if len(keys) > 1:
            self.runs.append(sorted(keys, ))


def x_ends__mutmut_orig(text):
    return text.endswith(
        "a a"
    )


def x_ends__mutmut_1(text):
    return text.endswith(
        "a"
    )
'''
"""A file as mutmut writes it, but for what chooses among the copies of a function."""


def left(folder: Path, codes: list[int | None]) -> dict[str, Found]:
    (folder / "storage").mkdir()
    (folder / "storage" / "runs.py").write_text(LEFT, "utf-8")
    names = [*(f"xǁRunsǁadd__mutmut_{n}" for n in (1, 2, 3)), "x_ends__mutmut_1"]
    by_name = {f"storage.runs.{name}": code for name, code in zip(names, codes, strict=True)}
    meta = json.dumps({"exit_code_by_key": by_name})
    (folder / "storage" / "runs.py.meta").write_text(meta, "utf-8")
    return found(folder)


def test_a_change_is_told_by_what_it_does(tmp_path: Path) -> None:
    (only,) = left(tmp_path, [0, 33, 5, 0]).values()
    assert [change.told for change in only.unseen] == [
        "Runs.add: self, keys, times={4 -> 5}",
        "Runs.add: if len(keys) {> -> >=} 1:",
        "Runs.add: self.runs.append(sorted(keys{, key=len -> }))",
        "ends: return text.endswith('a{ a -> }')",
    ]
    assert (only.tried, only.made) == (4, 4)


def test_what_is_known_is_counted_and_what_is_not_is_told(tmp_path: Path) -> None:
    by_file = left(tmp_path, [0, 1, 0, 36])
    width, order = (change.told for change in by_file["storage/runs.py"].unseen)
    may = {Change("storage/runs.py", width): "the same"}
    text, well = report(by_file, may)
    assert not well
    assert text[1].split() == ["storage/runs.py", "4", "2", "1", "1"]
    assert text[2:] == ["   1 known: the same", f"not seen by any test: storage/runs.py {order}"]
    assert report(by_file, may | {Change("storage/runs.py", order): "as well"})[1]


def test_what_is_seen_now_is_told_where_all_was_tried(tmp_path: Path) -> None:
    may = {Change("storage/runs.py", "ends: gone"): "the same", Change("other.py", "a"): "too"}
    text, well = report(left(tmp_path, [1, 1, 1, -24]), may)
    assert well
    assert text[2:] == ["seen now, take it out of python_mutants.toml: storage/runs.py ends: gone"]


def test_what_was_not_tried_is_not_well(tmp_path: Path) -> None:
    text, well = report(left(tmp_path, [1, None, 2, 1]), {Change("storage/runs.py", "a"): "b"})
    assert not well
    assert text[2:] == ["2 were not tried; run mutmut run again, which goes on from there"]


def test_without_a_run_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"got nothing; run mutmut run$"):
        found(tmp_path)


def test_a_name_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected a name as x_.*, got 'ends_1'; does"):
        told({}, "ends_1")


def standing(file: str, whole: str) -> ast.FunctionDef:
    """A function of ours."""
    *classes, name = whole.split(".")
    body = ast.parse((HERE.parents[1] / file).read_text("utf-8")).body
    for around in classes:
        body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == around)
    return next(n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)


def test_each_change_that_is_known_is_one_of_a_line_that_stands_there() -> None:
    for file, text in known():
        whole, _, change = text.partition(": ")
        ahead, _, _ = change.partition("{")
        assert any(line.startswith(ahead) for line in lines(standing(file, whole))), text
