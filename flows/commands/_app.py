"""The application that commands are added to, and the options that they share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import App, Group, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cyclopts import Token

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from flows.pipeline.scope import Target

# How `vecmill --help` parts the commands, in this order.
BEGIN = Group("Begin", sort_key=1)
RUN = Group("Run", sort_key=2)
SEARCH = Group("Search and SQL", sort_key=3)
LOOK = Group("Look", sort_key=4)
VERSIONS = Group("Versions", sort_key=5)
WATCH = Group("Watch", sort_key=6)
UPKEEP = Group("Upkeep", sort_key=7)
OPERATE = Group("Operate", sort_key=8)
_OF_ITSELF = Group("Options", sort_key=9)

Conf = Annotated[
    Path | None,
    Parameter(
        name="--conf",
        metavar="FILE",
        help="Configuration file; without it $VECMILL_CONF, or else conf/base.toml.",
    ),
]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print JSON, an object a line."),
]
IsDirect = Annotated[
    bool | None,
    Parameter(
        show_default=False,
        help="Run in this process, without Prefect and its API server; else as [engine] says.",
    ),
]
Number = Annotated[int, Parameter(name=["-k", "--limit"], metavar="N")]


def _ordinal(_: object, tokens: Sequence[Token]) -> int:
    """The number of a version, written as `vecmill versions` does or as tables are called."""
    text = tokens[0].value
    number = text.removeprefix("v")
    if not (number.isascii() and number.isdecimal()):
        raise ValueError(f"a version is named by its number, such as 2 or v2; got {text!r}")
    return int(number)


Ordinal = Annotated[int, Parameter(metavar="N", converter=_ordinal)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def _version() -> str:
    from importlib.metadata import version

    return version("vecmill")


app = App(
    name="vecmill",
    help="Raw records in, versioned vectors out: embedded once, queried by SQL, watched for drift.",
    version=_version,
    # The list of commands has no markup, and what renders that takes as long to load as the rest.
    help_format="plaintext",
    help_epilogue="Every command takes --quiet (-q): nothing is said but results and errors.",
    help_on_error=False,
    suppress_keyboard_interrupt=False,  # Ctrl-C is told of in our words
)
for _flag in ("--help", "--version"):
    app[_flag].group = _OF_ITSELF


def load(conf: Path | None) -> Settings:
    """The configuration that ``--conf`` names.

    Raises:
        SettingsError: on the first thing that is wrong; where there is more, with what tells all.
    """
    from flows.config import configuration
    from flows.config.settings import SettingsError

    try:
        return configuration.load(conf)
    except SettingsError as error:
        more = _more(conf)
        if not more:
            raise
        raise SettingsError(f"{error}{more}", error.each) from None


def _more(conf: Path | None) -> str:
    """How many things are wrong with a configuration, and what tells them; nothing of one alone."""
    from flows.config import checking
    from flows.config.settings import SettingsError

    try:
        wrong = sum(fault.fault for fault in checking.check(conf).faults)
    except SettingsError:  # there is no such file
        return ""
    option = "" if conf is None else f" --conf {shlex.quote(str(conf))}"
    return f" ({wrong} faults in all: `vecmill check{option}` tells each)" if wrong > 1 else ""


def stores(conf: Path | None) -> tuple[Stores, Settings]:
    """The places that the configuration names, and the configuration."""
    from flows.config.stores import Stores

    settings = load(conf)
    return Stores.of(settings), settings


def chosen(settings: Settings, features: Iterable[str]) -> list[str]:
    """The features named, each of which must be there; all where none is.

    A feature over others comes after them.

    Raises:
        SettingsError: if one is not there, or none is configured.
    """
    from flows.config.settings import SettingsError
    from flows.pipeline import kin

    names = list(features) or list(settings.features)
    for name in names:
        settings.feature(name)
    if not names:
        files = ", ".join(str(file) for file in settings.files)
        raise SettingsError(
            f"no feature is configured in {files}; add a [features.NAME] table, or let "
            "`vecmill init PATH` add one for your records"
        )
    return kin.ordered(settings.features, names)


def targets(settings: Settings, name: str) -> list[Target]:
    """The versions that a plain run of a feature brings up to date."""
    from flows.config.stores import Stores
    from flows.pipeline import versions

    return versions.targets(settings.feature(name), Stores.of(settings))


def target(text: str) -> Target:
    """What ``--version`` names.

    Raises:
        UsageError: if it is no word for a version, and no number.
    """
    from storage.model import UsageError

    if text in {"configured", "live", "candidate"}:
        return cast("Target", text)
    number = text.removeprefix("v")
    if not number.isdecimal():
        raise UsageError(
            f"--version takes configured, live, candidate or the number of a version, got {text!r}"
        )
    return int(number)


def moment(option: str, text: str) -> datetime:
    """The time that an option gives, in UTC where it names no zone.

    Raises:
        UsageError: if it is no ISO 8601 day or time.
    """
    from datetime import UTC, datetime

    from storage.model import UsageError

    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} takes a day or a moment such as 2026-01-31 or 2026-01-31T12:00, got {text!r}"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
