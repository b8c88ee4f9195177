"""Putting down what keeps a run from beginning, so that it is seen as the last run that failed."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.output.progress import Silent
from flows.pipeline.run_log import logging, told_failure
from flows.pipeline.scope import Scope
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.settings import Settings


@contextmanager
def noted(settings: Settings, name: str, scope: Scope | None = None) -> Iterator[None]:
    """Have an error that leaves the block logged as how a run of a feature failed.

    In the catalog too, where it is not the store itself that cannot be had.
    """
    try:
        yield
    except Exception as error:
        scope, stores = scope or Scope(), Stores.of(settings)
        with logging(settings, name, stores, scope, Silent()) as log:
            if not isinstance(error, StorageError):
                with suppress(StorageError):  # the first error is what counts
                    window = (scope.since, scope.until)
                    stores.catalog.start_run(log.run_id, name, None, scope.kind, window)
                    stores.catalog.fail_run(log.run_id, told_failure(error))
            raise
