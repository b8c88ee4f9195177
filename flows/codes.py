"""Exit codes, and which error stands for which."""

from __future__ import annotations

import traceback

from flows.answers import complain

FINE, FAILED, USAGE, FINDING = 0, 1, 2, 3
INTERRUPTED, UNREAD = 130, 141


def code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None for a fault of ours."""
    from encoders.base import EncoderError
    from flows.fitting import FittingError
    from flows.monitoring import MonitorError
    from flows.pipeline import RunError
    from flows.search import SearchError
    from flows.settings import SettingsError
    from flows.sources.base import SourceError
    from storage.model import StorageError, UsageError

    if isinstance(error, SettingsError | SearchError | MonitorError | UsageError):
        return USAGE
    mendable = (EncoderError, FittingError, RunError, SourceError, StorageError, OSError)
    return FAILED if isinstance(error, mendable) else None


def report(error: Exception, feature: str = "") -> int:
    """Tell of an error, and give the exit code it stands for."""
    code = code_of(error)
    message = str(error)
    if code is None:
        traceback.print_exception(error)
        message = "this is a fault of Vecmill's; please report it with the lines above"
    told = feature and not message.startswith(feature)
    complain(f"{feature}: {message}" if told else message)
    return FAILED if code is None else code
