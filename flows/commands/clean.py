"""Commands that take things out of a store: what nobody needs, and what nobody may have."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields, replace
from json import dumps
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import UPKEEP, AsJson, Conf, Flag, app, load
from flows.output import units
from flows.output.answers import complain, print_json, say, table
from flows.output.codes import FAILED, FINE, USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.config.settings import Feature, Gc, Settings
    from flows.upkeep.gc import Collector

Days = Annotated[float | None, Parameter(metavar="N")]
Count = Annotated[int | None, Parameter(metavar="N")]


@app.command(name="gc", usage="Usage: vecmill gc [OPTIONS] [FEATURES...]", group=UPKEEP)
def collect(  # noqa: PLR0913 - one option a key of [gc]
    *features: str,
    yes: Flag = False,
    orphans: Flag = False,
    keep_runs: Count = None,
    keep_days: Days = None,
    drop_retired_after_days: Days = None,
    grace_hours: Days = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show what the store can do without, and why the rest stays; with --yes remove it.

    A state of a version goes only if it is old enough and enough newer ones stay. The published
    state of a version that was not dropped never goes, nor what a tag of yours pins.

    Parameters
    ----------
    features
        The features to clean up; all, and what is no feature's, where none is named.
    yes
        Remove it; without this nothing is written.
    orphans
        Remove vector tables that the catalog does not know; another catalog may know them.
    keep_runs
        So many states of each version stay, instead of what [gc] says.
    keep_days
        States stay that readers saw within so many days, instead of what [gc] says.
    drop_retired_after_days
        Tables of versions go that were retired so long ago, instead of what [gc] says.
    grace_hours
        What readers saw within so many hours stays in any case, instead of what [gc] says.
    """
    from flows.upkeep.gc import Collector

    settings = load(conf)
    for name in features:
        _known(settings, name)
    given = {
        "keep_runs": keep_runs, "keep_days": keep_days, "grace_hours": grace_hours,
        "drop_retired_after_days": drop_retired_after_days,
    }  # fmt: skip
    collector = Collector(settings, _with(settings.gc, given), orphans=orphans)
    return _carry_out(collector, features, yes=yes, json=json)


@app.command(usage="Usage: vecmill maintain [OPTIONS] [FEATURES...]", group=UPKEEP)
def maintain(
    *features: str,
    yes: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show what would make tables faster and smaller; with --yes do it.

    Small files are put together, indexes are built where they pay and extended by the rows that
    they do not know, and what [gc] allows is removed. Runs go on before and after it, never at the
    same time; readers keep what they read.

    Parameters
    ----------
    features
        The features to maintain; all, and what is no feature's, where none is named.
    yes
        Do it; without this nothing is written.
    """
    from flows.upkeep.gc import Collector

    settings = load(conf)
    for name in features:
        _known(settings, name)
    collector = Collector(settings, settings.gc, indexes=True)
    return _carry_out(collector, features, yes=yes, json=json)


@app.command(usage="Usage: vecmill erase [OPTIONS] [FEATURE]", group=UPKEEP)
def erase(  # noqa: PLR0913 - one option a way to name records
    feature: str | None = None,
    /,
    *,
    id: Annotated[tuple[str, ...], Parameter(metavar="ID", negative="")] = (),  # noqa: A002 - the option's name
    ids_from: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    where: Annotated[str | None, Parameter(metavar="SQL")] = None,
    all_features: Flag = False,
    yes: Flag = False,
    receipt: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show where records lie; with --yes erase them from everywhere in the store, and prove it.

    They go from every version and state of it, from staged work, dead letters, findings, texts of
    errors and exports, and so does what features over it have made of them. Earlier states of the
    versions go too, so that one cannot read back beyond the erasure any more. The exit code is 1
    where a trace was left.

    Parameters
    ----------
    feature
        The feature to erase from.
    id
        The id of a record; may be given more than once.
    ids_from
        A file of ids, one a line.
    where
        A condition over the columns of the feature's view; its records are erased.
    all_features
        Erase from every feature that holds the ids.
    yes
        Do it; without this nothing is written.
    receipt
        Also write the receipt to this file; it names no record. The catalog keeps it in any case.
    """
    from flows.output.console import reporting
    from flows.pipeline.held import with_descendants
    from flows.upkeep.derived import derived
    from flows.upkeep.erase import Eraser
    from flows.upkeep.sought import IN_SOURCE, elsewhere

    settings = load(conf)
    if (feature is None) == (not all_features) or (where is not None and feature is None):
        complain("name one feature, or --all-features; --where needs a feature", code=USAGE)
        return USAGE
    ids = _ids(settings, feature, id, ids_from, where)
    named = _known(settings, feature)
    receipts = []
    anything = False
    with reporting() as reporter, ExitStack() as locks:
        if yes:
            locks.enter_context(with_descendants(settings, named, reporter))
        # What is made of a record goes before it, since afterwards nothing tells what that was.
        everything = derived(settings, dict.fromkeys(named, ids))
        for name, its_ids in everything.items():
            eraser = Eraser(settings, name, its_ids)
            found = eraser.look(reporter)
            nothing = not any(n for what, n in found.items() if what != IN_SOURCE)
            if nothing and name not in named:
                continue
            _tell_found(settings, name, found, everything, json=json, yes=yes)
            anything |= not nothing
            if yes and not nothing:
                receipts.append(eraser.erase(reporter, locked=True))
    if feature is not None:
        for other in elsewhere(settings, feature, ids, everything):
            say(
                f"{other} holds such records too, and they stay there; erase them from it as well, "
                "or from all with --all-features"
            )
    print_json(receipts, json=json)
    if receipt is not None and receipts:
        text = dumps(receipts[0] if len(receipts) == 1 else receipts, indent=2, ensure_ascii=False)
        receipt.write_text(text + "\n", encoding="utf-8")
    if not yes and anything:
        say("earlier states of the feature's versions go too; do it with --yes")
    proved = [_tell_receipt(made) for made in receipts]
    return FINE if all(proved) else FAILED


def _ids(
    settings: Settings,
    feature: str | None,
    given: Sequence[str],
    ids_from: Path | None,
    where: str | None,
) -> list[str]:
    """The ids that the command line names, in whichever way."""
    from flows.config.settings import SettingsError

    ids = set(given)
    if ids_from is not None:
        try:
            # A sheet's mark of UTF-8 is no part of the first id, nor does U+2028 end one: an id
            # that is read as another is proved to be gone and stays.
            lines = ids_from.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--ids-from {ids_from} cannot be read: {error}") from error
        ids |= {line for line in lines if line}
    if where is not None and feature is not None:
        from flows.config.stores import Stores
        from storage import erasure, parts, query

        stores = Stores.of(settings)
        live = stores.catalog.live(feature)
        by = parts.key(chunked=live is not None and live.chunked)
        with query.connect(stores.catalog, stores.vectors) as con:
            ids |= set(erasure.matching(con, feature, where, by))
    elif not ids:
        raise SettingsError("no record is named; use --id, --ids-from or --where")
    return sorted(ids)


def _known(settings: Settings, feature: str | None) -> list[str]:
    """The feature named, which the configuration or the catalog must know; all where none is."""
    from flows.upkeep.sought import known_features

    known = known_features(settings)
    if feature is None:
        return known
    if feature not in known:
        settings.feature(feature)  # which is not there, and says so
    return [feature]


def _comes_from(settings: Settings, feature: str, erased: Iterable[str]) -> bool:
    """Whether a feature is over one of some others."""
    from flows.pipeline import kin

    configured = settings.features.get(feature)
    return configured is not None and bool(set(kin.parents(configured)) & set(erased))


def _tell_found(
    settings: Settings,
    feature: str,
    found: dict[str, int],
    erased: Iterable[str],
    *,
    json: bool,
    yes: bool,
) -> None:
    from flows.upkeep.sought import IN_SOURCE

    if _comes_from(settings, feature, erased):
        # Its source are its parts, which are erased from along with it.
        found = {what: n for what, n in found.items() if what != IN_SOURCE}
    rows = [{"feature": feature, "where": what, "rows": n} for what, n in found.items() if n]
    print_json(rows, json=json and not yes)  # with --yes the receipts are the result
    if rows and not json:
        table(rows, list(rows[0]))
    configured = settings.features.get(feature)
    if found.get(IN_SOURCE):
        whole = "in the source" if configured is None or configured.over is None else "in its parts"
        say(
            f"{feature}: {found[IN_SOURCE]} of the records still stand {whole}, so the next "
            f"run brings them back; {_first(configured)}"
        )
    if not rows:
        say(f"{feature}: no trace of these records")


def _first(feature: Feature | None) -> str:
    """What to do so that erased records do not come back."""
    if feature is None or feature.over is None:
        return "delete them there first"
    names = ", ".join(part.feature for part in feature.over.parts)
    return f"erase them from what it is over ({names}), which takes them from here too"


def _tell_receipt(receipt: dict[str, Any]) -> bool:
    """Say what an erasure came to; whether it left nothing."""
    name = receipt["feature"]
    if receipt["proved"]:
        asked = units.several(receipt["records"], "record")
        say(f"{name}: nothing is left of the {asked} asked for")
    for check in receipt["proof"]:
        if check["found"]:
            complain(f"{name}: {check['place']} still holds {check['found']} ({check['how']})")
    say('how each place was checked stands in the receipt: `vecmill sql "FROM erasures"`')
    for what in receipt["not_covered"]:
        say(f"not covered: {what}")
    return bool(receipt["proved"])


def _with(policy: Gc, given: dict[str, Any]) -> Gc:
    """The policy with what the command line says, checked as the configuration is."""
    from flows.config.settings import SettingsError

    known = {field.name for field in fields(policy)}
    try:
        return replace(policy, **{k: v for k, v in given.items() if k in known and v is not None})
    except ValueError as error:
        raise SettingsError(f"gc: {error}") from None


def _carry_out(collector: Collector, features: Sequence[str], *, yes: bool, json: bool) -> int:
    """Show what a collector would do, or do it, and print it."""
    from flows.output.console import reporting
    from flows.upkeep import told

    with reporting() as reporter:
        items = collector.collect(features, reporter) if yes else collector.look(features)
    print_json((item.row() for item in items), json=json)
    if not json:
        shown = told.rows(items, done=yes)
        if shown:
            table(shown, list(shown[0]))
    say(told.summary(items, done=yes))
    return FINE
