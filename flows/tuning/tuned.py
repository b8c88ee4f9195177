"""What tuning has found, as rows, sentences and keys of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders import machine
from flows.config.conf_files import told, write_keys
from flows.tuning.trials import KEYS, RENEWING

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from flows.tuning.trials import Trial, Tuned


def table(found: Tuned) -> list[dict[str, Any]]:
    """A row a trial, in the order in which they were made."""
    return [_row(found, trial) for trial in found.trials]


def _row(found: Tuned, trial: Trial) -> dict[str, Any]:
    params, keys = found.feature.encoder.params, trial.choice.keys
    names = [name for name in KEYS if hasattr(params, name)]
    encodes = trial.problem is None
    return {
        "feature": found.feature.name,
        "encoder": found.feature.encoder.name,
        **{name: keys.get(name, getattr(params, name)) for name in names},
        "threads": trial.choice.threads,
        "records_per_second": found.rate * trial.faster if encodes else None,
        "faster": trial.faster if encodes else None,
        "least_cosine": trial.cosine[0] if encodes else None,
        "mean_cosine": trial.cosine[1] if encodes else None,
        "verdict": _verdict(found, trial),
    }


def _verdict(found: Tuned, trial: Trial) -> str:
    if trial.problem is not None:
        return trial.problem
    if trial.cosine[0] < found.fidelity:
        return f"below a cosine of {found.fidelity:g}"
    if trial is found.best:
        return "as configured, and best" if trial is found.trials[0] else "best"
    return "as configured" if trial is found.trials[0] else ""


def sentences(found: Tuned) -> list[str]:
    """How to read the table, and what it comes to."""
    read = (
        f"{found.records:,} records, by the clock, the least of a few times each, in turns with "
        "the best so far; faster: as a multiple of what is configured, and records per second are "
        "worked out from it; cosine: of a record's vector to the one in float32 by torch"
    )
    return [read, *([_doubt(found)] if found.busy else []), _best(found)]


def _doubt(found: Tuned) -> str:
    """That the numbers are not to be trusted, and why."""
    return (
        f"the machine is busy: {found.load:.1f} processes ran or waited on {machine.cores()} cores "
        f"before the first trial, and repeats of one setting differed by {found.spread:.0%}: "
        "differences smaller than that are chance; tune again when it is quiet"
    )


def _doubtful(found: Tuned) -> bool:
    """Whether the best may be so by chance: the machine is busy, and repeats differ by more."""
    return found.busy and found.best.faster < 1 + found.spread


def _best(found: Tuned) -> str:
    if found.best is found.trials[0]:
        return f"{found.feature.name}: nothing tried was faster by 5 % and as faithful"
    return (
        f"{found.feature.name}: {_said(found)} is {found.best.faster:.2f} times as fast as what is "
        f"configured, at a cosine of at least {found.best.cosine[0]:.5f}"
        f"{'; that may be chance' if _doubtful(found) else ''}"
    )


def _said(found: Tuned) -> str:
    """The keys to set, each with its table."""
    parts = [f"[{'.'.join(name)}] {told(keys)}" for name, keys in _tables(found).items()]
    return " and ".join(parts)


def _tables(found: Tuned) -> dict[tuple[str, ...], dict[str, str | int]]:
    tables: dict[tuple[str, ...], dict[str, str | int]] = {}
    if found.best.choice.keys:
        tables["encoders", found.feature.encoder.name] = dict(found.best.choice.keys)
    if found.threads is not None:
        tables["engine",] = {"threads": found.threads}
    return tables


def advice(found: Tuned) -> str | None:
    """How to have what is best; None where that is configured."""
    if not _tables(found):
        return None
    first = "tune again before " if _doubtful(found) else ""
    return f"{first}`vecmill tune {found.feature.name} --write` sets it{_consequence(found)}"


def write(found: Tuned, settings: Settings) -> list[str]:
    """Write what is best into the configuration, and say where and what follows.

    Raises:
        SettingsError: if the file cannot be edited; it is as it was then.
    """
    name = found.feature.name
    if not _tables(found):
        return [f"{name}: what is configured is best, so nothing is written"]
    lines = [
        f"wrote [{'.'.join(path)}] {told(keys)} into {write_keys(settings.files, path, keys)}"
        for path, keys in _tables(found).items()
    ]
    return [*lines, f"{name}: it holds from the next run on{_consequence(found)}"]


def _consequence(found: Tuned) -> str:
    """What else changes."""
    name, said = found.feature.name, ""
    if found.renews:
        keys = [key for key in RENEWING if key in found.best.choice.keys]
        are = "are" if len(keys) > 1 else "is"
        said += (
            f"; {' and '.join(keys)} {are} part of the fingerprint, so the next run makes a new "
            f"version: `vecmill compare {name}` holds it against what readers see"
        )
    if found.best.choice.keys and found.sharing:
        said += f"; {', '.join(found.sharing)} have the same encoder, and get it too"
    return said
