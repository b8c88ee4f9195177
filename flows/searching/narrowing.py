"""What narrows a search: a condition on rows, and whether every row is to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.searching.queries import SearchError
from storage import conditions

if TYPE_CHECKING:
    from flows.config.stores import Stores
    from storage.model import Manifest, Version


@dataclass(frozen=True)
class Narrow:
    """What narrows a search.

    Attributes:
        where: a SQL condition over the columns of the feature's view but its vector, which holds
            before the nearest are chosen; None for all rows.
        exact: look at every row even where there is an index of the vectors.
        probes: cells of that index to look into; None for what ``[features.NAME.index]`` says.

    Raises:
        SearchError: if it is both, or no cell.
    """

    where: str | None = None
    exact: bool = False
    probes: int | None = None

    def __post_init__(self) -> None:
        if self.probes is not None and self.exact:
            raise SearchError("--exact looks at every row, --probes at cells of an index; give one")
        if self.probes is not None and self.probes < 1:
            raise SearchError(f"--probes must be at least 1, got {self.probes}")


ANY = Narrow()


def condition(stores: Stores, version: Version, manifest: Manifest, narrow: Narrow) -> str | None:
    """The condition as Lance takes it, None where there is none.

    Raises:
        UsageError: if no sense can be made of it.
    """
    if narrow.where is None:
        return None
    dataset = stores.vectors.state(version.table, manifest.lance_version)
    return conditions.for_lance(dataset, narrow.where, version.feature)
