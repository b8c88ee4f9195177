"""A process of one command: what wants to be done at its exit is done, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

HELD = """
import atexit, sys, threading
import flows.cli


class Told:
    def __del__(self):
        print("taken apart", flush=True)


held = Told()
held.itself = held
atexit.register(lambda: print("asked", flush=True))
threading.Thread(target=lambda: print("joined"), daemon=False).start()
"""


def ended(code: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("--versoin", 2)])
def test_a_command_ends_without_taking_apart_what_it_held(word: str, code: int) -> None:
    begun = f"{HELD.replace('held = ', 'process = flows.cli.Process(); held = ')}"
    done = ended(f"{begun}\nprocess.end(flows.cli.run_command(sys.argv[1:]))", word)
    assert done.returncode == code, done.stderr
    told = done.stdout.splitlines()
    assert {"asked", "joined"} <= {*told}
    assert "taken apart" not in told
    # Python's own end does: what is seen not to happen could.
    assert "taken apart" in ended(f"{HELD}\nsys.exit(0)").stdout


def test_the_command_line_is_such_a_process() -> None:
    code = "import gc, flows.cli\ntry: flows.cli.main({})\nfinally: print(gc.get_threshold()[0])"
    whole, part = (ended(code.format(given), "--version") for given in ("", "['--version']"))
    assert whole.returncode == part.returncode == 0
    # One that is called with arguments of its own is somebody else's, as a test's or a notebook's.
    assert int(whole.stdout.split()[-1]) > int(part.stdout.split()[-1])


def test_an_error_that_nobody_expected_is_told_by_python() -> None:
    done = ended("import flows.cli; flows.cli.Process(); raise LookupError('lost')")
    assert done.returncode == 1
    assert "LookupError: lost" in done.stderr
