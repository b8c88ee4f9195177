"""The command that asks the words of an encoder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, Number, app, load
from flows.commands._app import target as named
from flows.output.answers import print_json, table
from flows.output.codes import FINE

Which = Annotated[str, Parameter(metavar="VERSION")]


@app.command(group=SEARCH)
def words(
    feature: str,
    expression: str,
    /,
    *,
    k: Number = 10,
    version: Which = "live",
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find the words nearest to a word, or to a sum of words, as a feature's encoder has them.

    vecmill words articles oil

    vecmill words articles "king - man + woman"

    Parameters
    ----------
    feature
        A feature whose encoder has a table of words, such as one of kind word2vec.
    expression
        A word, or several with + and - between them, spaces around each: what is to woman as king
        is to man. A word that has a space goes into double quotes.
    k
        How many words to find.
    version
        Whose encoder to ask: live, candidate, configured, or the number of a version.
    """
    from flows.searching.words import words as find

    found = [asdict(near) for near in find(load(conf), feature, expression, k, named(version))]
    print_json(found, json=json)
    if not json:
        table(found, ("word", "similarity"))
    return FINE
