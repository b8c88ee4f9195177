"""A process that dies at any statement of a change of standing leaves it done or not begun."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storage import standings
from tests.processes import python

if TYPE_CHECKING:
    from tests.storage.conftest import Store

pytestmark = pytest.mark.slow

# Each try is a fork of one interpreter that has opened nothing yet, on a copy of the catalog; what
# it needs is imported before, as it would be imported anew by each.
KILL = """
import json, os, shutil, sys
import duckdb, filelock, pandas, pyarrow
from pathlib import Path
from storage import standings
from storage._attached import Instance
from storage.catalog import Catalog

path, call = Path(sys.argv[1]), sys.argv[2]
attach = Instance.attach

class Dying:
    def __init__(self, con, left):
        self.con, self.left = con, left
    def __getattr__(self, name):
        whole = getattr(self.con, name)
        if name not in {"execute", "sql"}:
            return whole
        def counted(*arguments, **keys):
            if self.left == 0:
                os._exit(9)
            self.left -= 1
            done = whole(*arguments, **keys)
            if arguments[0] == "COMMIT" and self.left == 0:
                os._exit(9)
            return done
        return counted

def change(catalog, left):
    basis = standings.basis(catalog, "notes", 3)
    def dying(instance, file, *, read_only):
        con, name = attach(instance, file, read_only=read_only)
        return Dying(con, -1 if read_only else left), name
    Instance.attach = dying
    if call == "promote":
        assert standings.promote(catalog, "notes", 3, basis, gates=[{"gate": "x"}])
    elif call == "rollback":
        standings.rollback(catalog, "notes", "why")
    elif call == "retire":
        standings.retire(catalog, "notes", 3)
    else:
        standings.retire_all(catalog, "notes")

def told(catalog):
    versions = [v.standing for v in catalog.versions("notes")]
    log = [(c.version, c.standing, c.action) for c in standings.log(catalog, "notes")]
    print(json.dumps([versions, log]), flush=True)

def forked(function, *arguments):
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
        finally:
            sys.stderr.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

left, code = 0, 9
while code == 9:
    copy = path.parent / f"{call}{left}" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    code = forked(change, Catalog(copy, 5.0), left)
    assert forked(told, Catalog(copy, 5.0)) == 0
    left += 1
print(json.dumps(code), flush=True)
"""


def replayed(log: list[list[object]]) -> list[str]:
    """The standings of three versions by the log alone."""
    standing = ["candidate"] * 3
    for number, word, _ in log:
        standing[int(str(number)) - 1] = str(word)
    return standing


@pytest.mark.parametrize(
    ("call", "after"),
    [
        ("promote", ["retired", "retired", "live"]),
        ("rollback", ["live", "retired", "candidate"]),
        ("retire", ["retired", "live", "retired"]),
        ("retire_all", ["retired"] * 3),
    ],
)
def test_it_is_done_or_not_begun(store: Store, call: str, after: list[str]) -> None:
    for mark in ("f1", "f2", "f3"):
        store.publish(store.version(mark), f"run {mark}", 1)
    catalog = store.catalog
    standings.promote(catalog, "notes", 2, standings.basis(catalog, "notes", 2))
    before = ["retired", "live", "candidate"]
    with python(KILL, store.path, call) as child:
        out, complaints = child.communicate()
    assert child.returncode == 0, complaints
    *states, code = map(json.loads, out.splitlines())
    assert code == 0, complaints
    seen = [versions for versions, _ in states]
    assert len(states) > 6, "it dies at several statements"
    assert seen == sorted(seen, key=lambda versions: versions == after)
    # The last was not killed, the one before it just after it had committed.
    assert (seen[0], seen[-3], seen[-2], seen[-1]) == (before, before, after, after)
    for versions, log in states:
        assert versions in (before, after)
        assert replayed(log) == versions
        assert versions.count("live") == (0 if versions == ["retired"] * 3 else 1)
        assert [entry[:2] for entry in log[:3]] == [[1, "live"], [1, "retired"], [2, "live"]]
