"""What encoders learned, and from what: the catalog's table of fits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storage.entries import insert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.catalog import Catalog


_UNFILLED = """
SELECT DISTINCT v.version FROM fits f JOIN versions v USING (feature, version)
WHERE f.feature = ? AND f.unfitted = ? AND v.standing = 'candidate' AND v.dropped_at IS NULL
AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.feature = v.feature AND m.version = v.version)
ORDER BY v.version
"""


@dataclass(frozen=True)
class Fit:
    """One fit of a feature's encoder.

    Attributes:
        unfitted: the fingerprint of the encoder before it learned.
        state: the digest of what it learned.
        records: how many records it learned from.
        wanted: how many it asked for, or was asked to take.
        since: they have event times at or after this; None has no bound.
        until: they have event times before this; None has no bound.
        figures: what the encoder measured while it learned.
        seconds: that it learned.
        version: the version that a fit by itself (`vecmill fit`) registered; None where a run
            fitted, and filled its version at once.
    """

    feature: str
    unfitted: str
    state: str
    records: int
    wanted: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    version: int | None = None
    fitted_at: datetime | None = None


def add(catalog: Catalog, fit: Fit) -> None:
    """Note a fit, as of now."""
    row = asdict(fit) | {"figures": json.dumps(dict(fit.figures)), "fitted_at": datetime.now(UTC)}
    with catalog.transaction() as con:
        insert(con, "fits", row)


def states(catalog: Catalog, feature: str, unfitted: str) -> list[str]:
    """The digests of what encoders of this unfitted fingerprint learned, newest first."""
    found = catalog.query(
        "SELECT state FROM fits WHERE feature = ? AND unfitted = ? ORDER BY fitted_at DESC",
        feature,
        unfitted,
    )
    return [str(state) for state in found["state"].to_pylist()]


def register(catalog: Catalog, feature: str, state: str, version: int) -> None:
    """Note which version the newest fit with this state registered."""
    with catalog.transaction() as con:
        con.execute(
            "UPDATE fits SET version = $3 WHERE feature = $1 AND state = $2 AND fitted_at = "
            "(SELECT max(fitted_at) FROM fits WHERE feature = $1 AND state = $2)",
            [feature, state, version],
        )


def newest(catalog: Catalog, feature: str, state: str | None) -> Fit | None:
    """The newest fit that gave a state, None where none is known."""
    rows = catalog.query(
        "SELECT * FROM fits WHERE feature = ? AND state = ? ORDER BY fitted_at DESC LIMIT 1",
        feature,
        state,
    ).to_pylist()
    if not rows:
        return None
    known = {f.name: rows[0][f.name] for f in fields(Fit)}
    return Fit(**known | {"figures": json.loads(known["figures"] or "{}")})


def unfilled(catalog: Catalog, feature: str, unfitted: str) -> list[int]:
    """The candidates that fits by themselves registered and no run has published anything of.

    Args:
        catalog: the catalog.
        feature: the feature.
        unfitted: the fingerprint of the encoder before it learned.
    """
    rows = catalog.query(_UNFILLED, feature, unfitted).to_pylist()
    return [int(row["version"]) for row in rows]
