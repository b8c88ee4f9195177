"""Commands that group a feature's records: clusters."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from flows.answers import print_json, table
from flows.codes import FINE
from flows.commands._app import AsJson, Conf, Flag, app, load
from flows.commands._words import show


@app.command
def cluster(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    method: Literal["kmeans", "hdbscan"] | None = None,
    k: Annotated[int | None, Parameter(name="-k", metavar="N")] = None,
    min_size: Annotated[int | None, Parameter(metavar="N")] = None,
    words: Annotated[str | None, Parameter(metavar="COLUMN")] = None,
    version: Annotated[int | None, Parameter(metavar="N")] = None,
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
    from flows import clusters
    from flows.console import reporting

    settings = load(conf)
    if only_show:
        found = clusters.show(settings, feature, version)
    else:
        asked = clusters.Asked(method, k, min_size, words, anew)
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
