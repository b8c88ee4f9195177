"""Commands that group a feature's records: clusters, and what is nearly the same."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands._app import LOOK, AsJson, Conf, Flag, Ordinal, app, load
from flows.commands._words import show
from flows.output import units
from flows.output.answers import complain, print_json, table
from flows.output.codes import FINE, USAGE

_SHOWN, _NAMED = 20, 5
"""Groups that are shown to people, and records of each."""


@app.command(group=LOOK)
def cluster(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    method: Literal["kmeans", "hdbscan"] | None = None,
    k: Annotated[int | None, Parameter(name="-k", metavar="N")] = None,
    min_size: Annotated[int | None, Parameter(metavar="N")] = None,
    words: Annotated[str | None, Parameter(metavar="COLUMN")] = None,
    version: Ordinal | None = None,
    anew: Flag = False,
    only_show: Annotated[bool, Parameter(name="--show", negative="", show_default=False)] = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Group a feature's records, and say what each group is about.

    The groups are kept, and stand in SQL as FEATURE_clusters and FEATURE_cluster_sizes. Called
    again, new and changed records are assigned to them, so that a number goes on to mean the same.

    Parameters
    ----------
    feature
        The feature.
    method
        kmeans, unless hdbscan is named: groups of any shape, and records that are in none (-1).
    k
        How many groups kmeans makes; without it the number of the highest silhouette.
    min_size
        The records that make a group for hdbscan; without it a hundredth of all, at least 5.
    words
        The kept column of texts to take words from; without it the first one of several words.
    version
        The version, instead of the live one.
    anew
        Find groups again, instead of keeping those there are.
    only_show
        Print the groups there are, and how many rows are not assigned yet; write nothing.
    """
    from flows.analysis import clusters
    from flows.analysis.clustered import Asked
    from flows.output.console import reporting

    settings = load(conf)
    if only_show and (anew or (method, k, min_size, words) != (None, None, None, None)):
        complain(
            "--show prints the groups there are; leave out what says how to find others", code=USAGE
        )
        return USAGE
    if only_show:
        found = clusters.show(settings, feature, version)
    else:
        asked = Asked(method, k, min_size, words, anew)
        with reporting() as reporter:
            found = clusters.cluster(settings, feature, asked, reporter, version)
    rows = found.table()
    print_json([*rows, found.summary()], json=json)
    if not json:
        described = [
            row
            | {"share": f"{row['share']:.1%}", "examples": ", ".join(row["examples"])}
            | {"about": "; ".join([", ".join(row["words"]), *row["kept_values"]]).strip("; ")}
            for row in rows
        ]
        table(described, ["cluster", "size", "share", "about", "examples"])
        for sentence in found.sentences():
            show(sentence)
    return FINE


@app.command(group=LOOK)
def duplicates(
    feature: str,
    /,
    *,
    threshold: Annotated[float, Parameter(metavar="COSINE")] = 0.95,
    version: Ordinal | None = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find groups of records that are nearly, or exactly, the same; writes nothing.

    Every record is compared with every other, exactly, so the time grows with the square of their
    number. Records that are linked by way of others are in one group.

    Parameters
    ----------
    feature
        The feature.
    threshold
        The cosine from which two records count as nearly the same.
    version
        The version, instead of the live one.
    """
    from flows.analysis.duplicates import duplicates as find
    from flows.output.answers import say
    from flows.output.console import reporting

    with reporting() as reporter:
        found = find(load(conf), feature, reporter, threshold, version)
    rows = [group.row(found.version, number) for number, group in enumerate(found.groups)]
    print_json(rows, json=json)
    if not json:
        told = [
            row | {"record_ids": ", ".join(row["record_ids"][:_NAMED])} for row in rows[:_SHOWN]
        ]
        if told:
            columns = ["group", "kind", "size", "contents", "lowest_similarity", "record_ids"]
            table(told, columns)
        for sentence in found.sentences():
            show(sentence)
        if len(rows) > _SHOWN:
            more = units.several(len(rows) - _SHOWN, "group")
            say(f"{more} more, and the ids of all; see them with --json")
    return FINE
