"""The unit part of the tests: the files from which nothing leads to what is slow to begin with.

Nobody keeps a list: a file is of the unit part unless something that it imports, or that is
imported from there, at the top of a file or within a function, is one of `SLOW`. What fixtures
bring is not followed; so while the unit part runs, whoever starts a process or imports torch is an
error, and the test belongs into a file of another part.
"""

from __future__ import annotations

import ast
import platform
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("encoders", "flows", "storage", "tests")

SLOW = (
    *("flows.cli", "flows.pipeline", "flows.runner"),  # whole runs and commands
    *("http.server", "multiprocessing", "playwright", "prefect", "ray", "subprocess"),  # processes
    *("gensim", "implicit", "openTSNE", "umap"),  # seconds each before the first test
    *("sentence_transformers", "torch", "torchvision", "transformers"),
    "tests.flows.monitors.samples",  # rates of error, which take hundreds of draws to see
)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}


def is_unit(file: Path) -> bool:
    """Whether a file of tests is of the unit part."""
    seen: set[Path] = set()
    ahead = [file]
    while ahead:
        here = ahead.pop()
        if here in seen:
            continue
        seen.add(here)
        names = _imports(here)
        if any(map(_is_slow, names)):
            return False
        ahead += [found for name in names if (found := _file(name)) is not None]
    return True


@cache
def _is_slow(name: str) -> bool:
    """Whether a module is one of `SLOW`, or within one."""
    return any(name == slow or name.startswith(f"{slow}.") for slow in SLOW)


@cache
def _imports(file: Path) -> frozenset[str]:
    """The names of all that a file imports as it runs."""
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
