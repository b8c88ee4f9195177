"""The log of a run, from its first step to how it ended."""

from __future__ import annotations

import os
import socket
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.operations.schedules import of_feature
from flows.output.codes import code_of, reason
from flows.output.logged import Logged
from flows.output.stopping import by_sigterm
from storage.entries import code_version
from storage.ids import new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from flows.output.progress import Reporter
    from flows.pipeline.outcomes import Outcome
    from flows.pipeline.scope import Scope
    from storage.logs import Log


class RunLog(Logged):
    """The log of a run, which has an id."""

    def __init__(self, reporter: Reporter, log: Log, run_id: str) -> None:
        super().__init__(reporter, log)
        self.run_id = run_id

    def done(self, outcome: Outcome) -> None:
        """The run is published."""
        self.end()
        self.write("done", outcome.row(), last=True)

    def failed(self, error: BaseException) -> None:
        """The run publishes nothing."""
        self.end(broken_off=True)
        more = {"error": type(error).__name__}
        if isinstance(error, Exception) and code_of(error) is None:  # a fault of ours
            more["traceback"] = "".join(traceback.format_exception(error))
        self.write("failed", {"message": told_failure(error), **more}, last=True)


_GOES_ON = "the next run goes on from what it encoded"


@contextmanager
def logging(
    settings: Settings, name: str, stores: Stores, scope: Scope, reporter: Reporter
) -> Iterator[RunLog]:
    """The log of a run that begins now; what leaves the block as an error is how the run failed."""
    feature = settings.feature(name)
    run_id = new_run_id()
    log = stores.logs.open(feature.name, run_id)
    run_log = RunLog(reporter, log, run_id)
    begin = {
        "run": run_id,
        "feature": feature.name,
        "kind": scope.kind,
        "encoder": feature.encoder.name,
        "source": feature.source.name,
        "vecmill": code_version(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        # So that no start is missed that was due before there was such a schedule.
        "schedules": of_feature(settings.schedules, settings.features, name),
    }
    run_log.write("begin", begin)
    try:
        yield run_log
    except BaseException as error:
        run_log.failed(error)
        raise
    finally:
        log.close()


def told_failure(error: BaseException) -> str:
    """Why a run failed, in one text without secrets."""
    after = "; ".join(getattr(error, "__notes__", ())) or _GOES_ON
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by Ctrl-C; {after}"
    if by_sigterm(error):
        return f"stopped by SIGTERM; {after}"
    return reason(error)
