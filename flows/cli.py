"""The command line. Results go to standard output, everything else to standard error.

With ``--json`` a result is JSON Lines, and an error a JSON object on a line of standard error.

Exit codes: 0 fine, 1 a run failed, 2 usage or configuration, 3 a finding; 130 after Ctrl-C, 143
after SIGTERM and 141 where the reader of a pipe has left, as shells have it. The commands are in
`flows.commands`.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from typing import TYPE_CHECKING

from cyclopts import CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from flows.commands import load_all
from flows.commands._app import app
from flows.commands._completing import offer_features
from flows.operations import ending
from flows.output.answers import complain, say
from flows.output.codes import FINE, INTERRUPTED, TERMINATED, UNREAD, USAGE, report
from flows.output.process import Process
from flows.output.progress import Silent, listening
from flows.output.stopping import by_sigterm, terminating
from flows.output.voice import heard, speaking

if TYPE_CHECKING:
    from collections.abc import Sequence

_GOES_ON = "nothing half done is published, and the next run goes on from what was encoded"

load_all()
for _name in app:
    if not _name.startswith("-"):
        # In a command --version names a feature's, where it has one, and never Vecmill's own.
        app[_name].version_flags = ()
        app[_name].help_format = "markdown"
        offer_features(app[_name])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        argv: the words after the command's name; those of this process if None, which is the
            command's alone then.
    """
    process = Process() if argv is None else None
    signal.signal(signal.SIGTERM, terminating())
    try:
        code = run_command(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has what it wanted; Python would complain of it at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNREAD
    if ending.hurried():
        ending.at_once(code)
    if process is not None:
        process.end(code)
    sys.exit(code)


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    _quieten()
    how, arguments = heard(sys.argv[1:] if argv is None else argv)
    with speaking(how):
        return _called(arguments)


def _called(arguments: Sequence[str]) -> int:
    try:
        with listening(_Told()):
            code = app(
                arguments, exit_on_error=False, print_error=False, result_action="return_value",
            )  # fmt: skip
    except CycloptsError as error:
        complain(_misused(error), code=USAGE)
        return USAGE
    except KeyboardInterrupt as error:
        complain(f"interrupted; {_after(error)}", code=INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - every error becomes a message and an exit code
        return report(error)
    except BaseException as error:
        if not by_sigterm(error):
            raise
        complain(f"ended by SIGTERM; {_after(error)}", code=TERMINATED)
        return TERMINATED
    return code if isinstance(code, int) else FINE


def _after(error: BaseException) -> str:
    """What is so after a command was ended from outside: what it noted of that itself."""
    return "; ".join(getattr(error, "__notes__", ())) or _GOES_ON


def _misused(error: CycloptsError) -> str:
    """What is wrong with a command line, and where it is said how it is to be."""
    words = " ".join(str(error).split()).removesuffix(".")
    if isinstance(error, UnusedCliTokensError):
        unused = [*(error.unused_tokens or ())]
        words = f"there is no place for {', '.join(map(repr, unused))}"
        if [*(error.command_chain or ())] == ["search"]:
            words += f"; did you mean --text {shlex.quote(' '.join(unused))}?"
    command = " ".join(["vecmill", *(error.command_chain or ())])
    return f"{words}{' See' if words.endswith('?') else '; see'} `{command} --help`"


class _Told(Silent):
    """Has a command that is quiet by itself, such as a promotion, tell of a wait."""

    def note(self, message: str) -> None:
        say(message)


def _quieten() -> None:
    """Keep libraries' chatter out of the way of results and progress."""
    # Prefect prints a traceback of each failure, which is told in our words; a server hears of all.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # A line for each event that a server did not take; that it is gone is told once.
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    main()
