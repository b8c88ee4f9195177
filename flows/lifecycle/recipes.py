"""What the versions of a feature are, and what made them: from a fingerprint to its recipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.output import units
from storage import fits
from storage.entries import PUBLISHED
from storage.model import UsageError
from storage.standings import no_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flows.config.settings import Settings
    from storage.catalog import Catalog

_VERSIONS = f"""
SELECT v.feature, v.version, v.standing, v.kind AS encoder, v.fingerprint, v.dim, v.metric, m.rows,
       v.complete, v.history, v.created_at, r.started_at AS last_run, v.code_version,
       v.dropped_at AS dropped, v.recipe, v.params->>'$.model' AS model,
       f.records AS learned, f.since, f.until
FROM versions v LEFT JOIN ({PUBLISHED}) m USING (feature, version)
LEFT JOIN (SELECT feature, version, max(started_at) AS started_at FROM runs GROUP BY ALL) r
    USING (feature, version)
LEFT JOIN (FROM fits QUALIFY row_number() OVER (PARTITION BY feature, state ORDER BY fitted_at DESC)
    = 1) f ON f.feature = v.feature AND f.state = v.state
WHERE $1 IS NULL OR v.feature = $1
ORDER BY v.feature, v.version
"""  # noqa: S608 - our own words
_RECIPES = """
SELECT v.feature, v.version, v.standing, v.fingerprint, v.kind, v.recipe, v.params, v.state,
       v.modality, v.metric, v.dim, v.code_version, v.created_at, v.dropped_at
FROM versions v WHERE {which} ORDER BY v.feature, v.version
"""
_SHOWN, _LONGEST = 3, 28


def versions(settings: Settings, name: str | None = None) -> list[dict[str, Any]]:
    """One row a version of the feature, or of all features in the catalog.

    ``about`` says how its encoder differs from the live version's, or from its feature's first
    where none is live; of that one itself it names the model, where there is one. ``learned_from``
    says which records it was fitted on, where it learns.
    """
    stores = Stores.of(settings)
    rows: list[dict[str, Any]] = stores.catalog.query(_VERSIONS, name).to_pylist()
    if name is not None and not rows:
        settings.feature(name)
    recipes = {(r["feature"], r["version"]): json.loads(r.pop("recipe")) for r in rows}
    for row in rows:
        own = [other for other in rows if other["feature"] == row["feature"]]
        base = next((other for other in own if other["standing"] == "live"), own[0])
        mine = recipes[row["feature"], row["version"]]
        model = row.pop("model")
        row["learned_from"] = _learned_from(row.pop("learned"), row.pop("since"), row.pop("until"))
        row["about"] = about(mine, recipes[base["feature"], base["version"]]) or model
    return rows


def about(recipe: Mapping[str, object], base: Mapping[str, object]) -> str:
    """In a few words how a recipe differs from another; nothing where it does not."""
    if recipe == base:
        return ""
    recipe, base = _flat(recipe), _flat(base)
    keys = [key for key in recipe if recipe[key] != base.get(key)]
    # What is short is what people set; digests and tables follow from it.
    keys.sort(key=lambda key: len(str(recipe[key])) > _LONGEST)
    words = [_word(key, recipe[key], base.get(key)) for key in keys[:_SHOWN]]
    words += [f"no {key}" for key in base if key not in recipe][: _SHOWN - len(words)]
    more = len(keys) - _SHOWN
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def differences(
    recipe: Mapping[str, object], base: Mapping[str, object]
) -> list[tuple[str, str | None, str | None]]:
    """Each entry by which a recipe differs from another: its name, what it was and what it is.

    None where one of them has no such entry; long values are cut.
    """
    new, old = _flat(recipe), _flat(base)
    return [
        (key, _short(old[key]) if key in old else None, _short(new[key]) if key in new else None)
        for key in sorted({*new, *old})
        if (key in new) != (key in old) or new[key] != old[key]
    ]


def _flat(recipe: Mapping[str, object]) -> dict[str, object]:
    """Each parameter beside the other entries, where its name is not taken."""
    params = recipe.get("params")
    if not isinstance(params, dict):
        return dict(recipe)
    rest = {key: value for key, value in recipe.items() if key != "params"}
    return {key if key not in rest else f"params.{key}": v for key, v in params.items()} | rest


def _word(key: str, value: object, base: object) -> str:
    if key == "parts" and isinstance(value, list):  # of a feature over others
        known = base if isinstance(base, list) else []
        changed = [part["feature"] for part in value if part not in known]
        return f"another {', '.join(changed)}" if changed else "other parts"
    return f"{key} {_short(value)}"


def recipe(settings: Settings, which: str, number: int | None = None) -> dict[str, Any]:
    """All that made the vectors of a fingerprint, and the versions that have it.

    Args:
        settings: the configuration.
        which: a fingerprint or the beginning of one; with ``number`` a feature.
        number: one of the feature's versions.

    Raises:
        UsageError: if there is none such, or the beginning is that of several.
    """
    catalog = Stores.of(settings).catalog
    if number is None:
        asked: tuple[object, ...] = (which,)
        clause = "starts_with(v.fingerprint, $1)"
    else:
        clause = (
            "v.fingerprint = (SELECT fingerprint FROM versions WHERE feature = $1 AND version = $2)"
        )
        asked = (which, number)
    rows = catalog.query(_RECIPES.format(which=clause), *asked).to_pylist()
    if not rows:
        raise UsageError(_nothing(settings, which, number))
    prints = {row["fingerprint"] for row in rows}
    if len(prints) > 1:
        there = ", ".join(
            f"{row['feature']}_v{row['version']} {row['fingerprint']}" for row in rows
        )
        raise UsageError(f"{which!r} is the beginning of several fingerprints: {there}")
    first = rows[0]
    return {
        "fingerprint": first["fingerprint"],
        "kind": first["kind"],
        "modality": first["modality"],
        "metric": first["metric"],
        "dim": first["dim"],
        "recipe": json.loads(first["recipe"]),
        "state": first["state"],
        "fit": _fit(catalog, first),
        "versions": [_having(row) for row in rows],
    }


def _fit(catalog: Catalog, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """From which records a version's encoder learned, and what it measured."""
    fit = fits.newest(catalog, row["feature"], row["state"])
    if fit is None:
        return None
    kept = ("records", "wanted", "since", "until", "fitted_at", "seconds", "figures")
    return {name: getattr(fit, name) for name in kept}


def _learned_from(records: int | None, since: datetime | None, until: datetime | None) -> str:
    if records is None:
        return ""
    words = units.several(records, "record")
    words += f" from {since:%Y-%m-%d %H:%M}" if since else ""
    return words + (f" to {until:%Y-%m-%d %H:%M}" if until else "")


def _having(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("feature", "version", "standing", "code_version", "created_at", "dropped_at")
    return {key: row[key] for key in kept} | {"params": json.loads(row["params"])}


def _nothing(settings: Settings, which: str, number: int | None) -> str:
    catalog = Stores.of(settings).catalog
    if number is not None:
        there: Sequence[int] = [v.version for v in catalog.versions(which)]
        if not there:
            settings.feature(which)
        return no_version(which, number, there)
    if catalog.versions(which):
        return f"{which!r} is a feature; name one of its versions too: `vecmill recipe {which} 1`"
    return f"no version has a fingerprint that begins with {which!r}; see `vecmill versions`"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
