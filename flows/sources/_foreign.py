"""The errors of storage, as a source tells them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.sources.base import SourceAwayError, SourceError, SourceUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def telling(mend: str) -> Iterator[None]:
    """Tell what is away, what is asked wrongly (``mend`` says what helps) and what is broken."""
    from storage.model import OutageError, StorageError, UsageError

    try:
        yield
    except OutageError as error:
        raise SourceAwayError(f"{error}; run again") from error
    except UsageError as error:
        raise SourceUsageError(f"{error}; {mend}") from error
    except StorageError as error:
        raise SourceError(str(error)) from error
