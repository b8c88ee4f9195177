"""The command that tells what somebody may like."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, Flag, Number, app, load
from flows.commands._app import target as named
from flows.output.answers import print_json, table
from flows.output.codes import FINE

Which = Annotated[str, Parameter(metavar="VERSION")]


@app.command(group=SEARCH)
def recommend(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    user: Annotated[str | None, Parameter(metavar="ID")] = None,
    items: Annotated[str | None, Parameter(metavar="ID[=N],…")] = None,
    k: Number = 10,
    with_seen: Flag = False,
    titles: Annotated[str | None, Parameter(metavar="FEATURE:COLUMN")] = None,
    version: Which = "live",
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Recommend items to a user, or to somebody who likes some items; the best first.

    vecmill recommend taste --user 42

    vecmill recommend taste --items 3,7,9 --titles books:title

    Parameters
    ----------
    feature
        A feature of interactions.
    user
        A user, by the id that the source has. One who came since the last run will do.
    items
        Items that somebody likes who is in no source, with weights or ratings where these matter:
        3=5,7=2.5. Where ids hold commas or signs, a JSON object of weights.
    k
        How many items.
    with_seen
        Keep items that the user has met already. Else the source is read for these, and they are
        left out.
    titles
        Show a column of another feature beside each item, whose record ids are the items' ids.
    version
        Whose vectors to use: live, candidate, configured, or the number of a version.
    """
    from flows.searching.asking import Asked, parse_items, parse_titles
    from flows.searching.recommend import recommend as find

    found = find(
        load(conf),
        feature,
        Asked(user, None if items is None else parse_items(items)),
        k,
        with_seen=with_seen,
        titles=None if titles is None else parse_titles(titles),
        target=named(version),
    )
    print_json(found, json=json)
    if not json:
        table(found, ["item", *(["title"] if titles else []), "score", "met"], measured=False)
    return FINE
