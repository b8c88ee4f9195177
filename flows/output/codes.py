"""Exit codes, which error stands for which, and how an error is told."""

from __future__ import annotations

import sys
import traceback

from flows.output.answers import complain
from flows.output.redact import redact
from flows.output.visible import visible
from flows.output.voice import voice

FINE, FAILED, USAGE, FINDING = 0, 1, 2, 3
INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143


def code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None for a fault of ours."""
    from encoders.base import EncoderError, EncoderUsageError
    from flows.config.settings import SettingsError
    from flows.config.templates import TemplateError
    from flows.monitoring.looking import MonitorError
    from flows.pipeline.learning import FittingError
    from flows.pipeline.refusals import RunError
    from flows.searching.queries import SearchError
    from flows.sources.base import SourceError, SourceUsageError
    from storage.model import StorageError, UsageError

    usage = (
        SettingsError, TemplateError, SearchError, MonitorError, EncoderUsageError,
        SourceUsageError, UsageError,
    )  # fmt: skip
    if isinstance(error, usage):
        return USAGE
    mendable = (EncoderError, FittingError, RunError, SourceError, StorageError, OSError)
    return FAILED if isinstance(error, mendable) else None


def reason(error: BaseException) -> str:
    """Why something failed, in words for people, without secrets.

    Errors that a user can mend are told by their own words. Of others the class stands before
    them, since words such as those of a `KeyError` say nothing alone.
    """
    from storage import disk

    error = disk.told(error) or error
    name, words = type(error).__name__, str(error)
    if isinstance(error, OSError) and error.strerror:
        files = [repr(one) for one in (error.filename, error.filename2) if one is not None]
        words = ": ".join([error.strerror, *([" -> ".join(files)] if files else [])])
    elif not isinstance(error, Exception) or code_of(error) is None:
        words = f"{name}: {words}" if words else name
    return redact(words or name)


def report(error: Exception, feature: str = "") -> int:
    """Tell of an error, and give the exit code it stands for."""
    from storage import damage, disk

    given = error
    error = damage.told(error) or error  # a damaged table shows itself wherever it is read
    error = disk.told(error) or error
    code, message, trace = code_of(error), reason(error), None
    if code is None:
        trace = redact("".join(traceback.format_exception(error)))
        message = "this is a fault of Vecmill's; please report it with the lines above"
        if not voice().json:
            sys.stderr.write(visible(trace))
    code = FAILED if code is None else code
    told = feature and not message.startswith(feature)
    message = f"{feature}: {message}" if told else message
    complain(message, code=code, feature=feature, traceback=trace)
    _let_go(given)
    return code


def _let_go(error: BaseException | None) -> None:
    """Forget what the frames of an error hold.

    Prefect keeps errors to the end of the process, and with them open connections, of which DuckDB
    complains then by the page.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
