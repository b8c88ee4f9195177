"""How fast earlier runs encoded, and whose they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.model import Pace

if TYPE_CHECKING:
    from storage.catalog import Catalog

_RUNS = """
SELECT feature, version, count(*) AS runs, sum(encoded)::DOUBLE AS encoded,
       sum(encode_seconds) AS encode_seconds, median(seconds - encode_seconds) AS beside,
       max(finished_at) AS last
FROM (SELECT r.*, row_number() OVER (PARTITION BY r.feature, r.version ORDER BY finished_at DESC)
          AS nth
      FROM runs r JOIN versions v USING (feature, version)
      WHERE v.kind = $1 AND r.status = 'done' AND r.encoded > 0 AND r.encode_seconds > 0)
WHERE nth <= 5 GROUP BY feature, version
ORDER BY feature = $2 DESC, feature = $2 AND version = $3 DESC, last DESC LIMIT 1
"""


@dataclass(frozen=True)
class KnownPace:
    """A pace, and the last runs of a version that it was measured in."""

    pace: Pace
    feature: str
    version: int
    runs: int


def of_kind(catalog: Catalog, kind: str, feature: str, version: int) -> KnownPace | None:
    """The pace of an encoder of this kind: of the version itself, else of one that is like it.

    Of the feature's own versions before those of others, and of what ran last before what ran
    earlier; None where none of the kind has encoded anything in this store.
    """
    rows: list[dict[str, Any]] = catalog.query(_RUNS, kind, feature, version).to_pylist()
    if not rows:
        return None
    row = rows[0]
    pace = Pace(row["encode_seconds"] / row["encoded"], row["beside"] or 0.0)
    return KnownPace(pace, row["feature"], row["version"], row["runs"])
