"""What mutmut has found, told apart: changes of Python that no test sees, known ones and others.

``python -m tests.python_mutants`` reads the folder ``mutants``, which ``mutmut run`` leaves, and
holds each change that no test saw against ``tests/python_mutants.toml``, where those are listed
that change nothing that is promised, each under its reason. They stand there as what they do and
not by mutmut's numbers, so that a line more in a function does not make others of them.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__)
KNOWN = HERE.with_suffix(".toml")
_UNSEEN = {0, 5, 33}
"""What pytest exits with where all tests pass (0) or there are none (5; 33 where mutmut knows)."""
_NOT_TRIED = {None, 2}
"""2 is what pytest exits with where it is broken off."""
_WORD = re.compile(r"\w+|[<>=!]=?|\W")
_NAME = re.compile(r"(?:xǁ(\w+)ǁ|x_)(\w+)__mutmut_(?:\d+|orig)")


class Change(NamedTuple):
    """A change of a function.

    Attributes:
        told: the function and its changed lines: ``Keys.add: while len(a) > {1 -> 2}:``.
    """

    file: str
    told: str


class Found(NamedTuple):
    """What became of the changes of a file.

    Attributes:
        unseen: those that no test saw.
        tried: how many were put to the tests, and all that there are.
    """

    unseen: list[Change]
    tried: int
    made: int


def known(file: Path = KNOWN) -> dict[Change, str]:
    """The changes that may go unseen, with the reason of each."""
    reasons = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        Change(name, told): reason
        for reason, files in reasons.items()
        for name, changes in files.items()
        for told in changes
    }


def found(folder: Path) -> dict[str, Found]:
    """What mutmut has found, by file.

    Raises:
        SystemExit: if it has found nothing, since it was not run.
    """
    by_file = {}
    for meta in sorted(folder.rglob("*.py.meta")):
        name = meta.relative_to(folder).as_posix().removesuffix(".meta")
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        functions = _functions(meta.with_suffix("").read_text(encoding="utf-8"))
        unseen = [
            Change(name, told(functions, mutant.rpartition(".")[2]))
            for mutant, code in codes.items()
            if code in _UNSEEN
        ]
        tried = sum(code not in _NOT_TRIED for code in codes.values())
        by_file[name] = Found(unseen, tried, len(codes))
    if not by_file:
        raise SystemExit(f"expected what mutmut has found in {folder}, got nothing; run mutmut run")
    return by_file


def _functions(source: str) -> dict[str, ast.FunctionDef]:
    """The copies of functions that mutmut has written, by their names."""
    nodes = ast.walk(ast.parse(source))
    return {
        node.name: node
        for node in nodes
        if isinstance(node, ast.FunctionDef) and _NAME.fullmatch(node.name)
    }


def told(functions: dict[str, ast.FunctionDef], mutant: str) -> str:
    """What a mutant changes, in a line.

    Raises:
        ValueError: if its name is none that mutmut 3 gives.
    """
    parts = _NAME.fullmatch(mutant)
    if parts is None:
        raise ValueError(
            f"expected a name as x_function__mutmut_1, got {mutant!r}; does this mutmut name "
            "changes in another way?"
        )
    whole = ".".join(part for part in parts.groups() if part)
    before, after = (lines(functions[name]) for name in (re.sub(r"\d+$", "orig", mutant), mutant))
    return f"{whole}: {_apart(before, after)}"


def lines(function: ast.FunctionDef) -> list[str]:
    """A function's lines without its name, its docstring and how they were broken."""
    body = function.body[ast.get_docstring(function) is not None :]
    head = ast.unparse(function.args)
    return [head, *(line.strip() for node in body for line in ast.unparse(node).splitlines())]


def _apart(before: list[str], after: list[str]) -> str:
    """The lines that differ, as what they have in common around what they have not."""
    start, end = _common(before, after)
    old, new = ("\n".join(some[start : len(some) - end]) for some in (before, after))
    words = [_WORD.findall(text) for text in (old, new)]
    first, last = _common(*words)
    was, now = ("".join(some[first : len(some) - last]) for some in words)
    ahead, rest = "".join(words[0][:first]), "".join(words[0][len(words[0]) - last :])
    return f"{ahead}{{{was} -> {now}}}{rest}"


def _common(one: list[str], other: list[str]) -> tuple[int, int]:
    """How much two lists begin with that is the same, and how much they end with after that."""
    most = min(len(one), len(other))
    start = next((at for at in range(most) if one[at] != other[at]), most)
    rest = most - start
    end = next((at for at in range(rest) if one[-1 - at] != other[-1 - at]), rest)
    return start, end


def report(by_file: dict[str, Found], may: dict[Change, str]) -> tuple[list[str], bool]:
    """What was found, in lines to read, and whether all of it was known and all was tried."""
    unseen = [change for some in by_file.values() for change in some.unseen]
    others = [change for change in unseen if change not in may]
    reasons = Counter(may[change] for change in unseen if change in may)
    whole = {name for name, some in by_file.items() if some.tried == some.made}
    gone = [change for change in may if change.file in whole and change not in unseen]
    missing = sum(some.made - some.tried for some in by_file.values())
    text = [
        f"{'file':<36}{'mutants':>8}{'seen':>8}{'known':>8}{'others':>8}",
        *(_row(name, some, may) for name, some in by_file.items()),
        *(f"{count:>4} known: {reason}" for reason, count in reasons.most_common()),
        *(f"not seen by any test: {change.file} {change.told}" for change in others),
        *(f"seen now, take it out of {KNOWN.name}: {change.file} {change.told}" for change in gone),
    ]
    if missing:
        text.append(f"{missing} were not tried; run mutmut run again, which goes on from there")
    return text, not others and not missing


def _row(name: str, some: Found, may: dict[Change, str]) -> str:
    seen, left = some.tried - len(some.unseen), sum(change in may for change in some.unseen)
    return f"{name:<36}{some.made:>8}{seen:>8}{left:>8}{len(some.unseen) - left:>8}"


def main() -> None:
    """Tell what was found; exits 1 where it is more than what is known."""
    text, well = report(found(HERE.parents[1] / "mutants"), known())
    sys.stdout.write("\n".join([*text, ""]))
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
