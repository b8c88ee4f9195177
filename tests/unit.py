"""The unit part of the tests: the files from which nothing leads to what is slow to begin with.

Nobody keeps a list: a file is of the unit part unless something that it imports, or that is
imported from there, at the top of a file or within a function, is one of `SLOW`. So is what the
conftest.py beside it and those above import at their top, before the file. What fixtures bring
besides is not followed; so while the unit part runs, whoever starts a process or imports torch is
an error, and the test belongs into a file of another part.
"""

from __future__ import annotations

import ast
import platform
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
OURS = ("encoders", "flows", "storage", "tests")

SLOW = (
    *("flows.cli", "flows.pipeline", "flows.runner"),  # whole runs and commands
    *("http.server", "multiprocessing", "playwright", "prefect", "ray", "subprocess"),  # processes
    *("gensim", "implicit", "openTSNE", "umap"),  # seconds each before the first test
    *("sentence_transformers", "torch", "torchvision", "transformers"),
    "tests.flows.monitors.samples",  # rates of error, which take hundreds of draws to see
    "tests.fuzz.conftest",  # hundreds of inputs
)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}


def is_unit(path: Path) -> bool:
    """Whether a file of tests is of the unit part; whether any file of a folder is."""
    if path.is_dir():
        return any(map(is_unit, path.rglob("test_*.py")))
    return not (any(map(_conftest_is_slow, _conftests(path.parent))) or _leads_to_slow(path))


def _conftests(folder: Path) -> list[Path]:
    """Those that pytest imports before the files of a folder."""
    within = folder.is_relative_to(TESTS)
    above = [folder, *folder.parents[: len(folder.relative_to(TESTS).parts)]] if within else []
    return [file for each in above if (file := each / "conftest.py").is_file()]


@cache
def _conftest_is_slow(conftest: Path) -> bool:
    return _leads_to_slow(conftest, within=False)


def _leads_to_slow(file: Path, *, within: bool = True) -> bool:
    """Whether a file imports what is slow, or what leads to it."""
    seen, ahead = {file}, [file]
    while ahead:
        here = ahead.pop()
        names = _imports(here, within=within or here != file)
        found = {known for name in names if (known := _file(name)) is not None}
        if any(map(_is_slow, names)) or not found.isdisjoint(_LEAD):
            _LEAD.add(here)
            return True
        ahead += found - seen
        seen |= found
    return False


_LEAD: set[Path] = set()
"""Files that are known to import what is slow, or another of these: so few are read at all."""


@cache
def _is_slow(name: str) -> bool:
    """Whether a module is one of `SLOW`, or within one."""
    return any(name == slow or name.startswith(f"{slow}.") for slow in SLOW)


@cache
def _imports(file: Path, *, within: bool = True) -> frozenset[str]:
    """The names of all that a file imports as it runs, ``within`` its functions or at its top."""
    names: set[str] = set()
    ahead: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            ahead += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        if isinstance(node, ast.FunctionDef) and not within:
            continue
        # Statements alone: what stands within expressions is most of a file, and imports nothing.
        for block in _BLOCKS:
            ahead += getattr(node, block, ())
    return frozenset(names)


@cache
def _file(name: str) -> Path | None:
    """The file of one of our modules, None for others."""
    if name.partition(".")[0] not in OURS:
        return None
    place = ROOT.joinpath(*name.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def hold_to_it() -> None:
    """From now on, raise wherever this process starts another or imports torch."""

    def refuse(event: str, given: tuple[object, ...]) -> None:
        if event in STARTS or (event == "import" and given[0] == "torch"):
            raise RuntimeError(
                f"a test of the unit part led to {event} {given[0]!r}; give it a file of its own, "
                "whose imports say so (tests/unit.py)"
            )

    _ = platform.uname().processor  # asks uname(1) once; libraries ask for it as they are imported
    sys.addaudithook(refuse)
