"""Commands that name records of one modality by another: labels and captions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, Number, app, load
from flows.output import units
from flows.output.answers import complain, print_json, say, table
from flows.output.codes import FINE, USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.searching.across import Named

Output = Annotated[Path | None, Parameter(name=["-o", "--output"], metavar="FILE")]

_SHOWN = 50
"""Rows that a table for people has at most."""


@app.command(group=SEARCH)
def label(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    labels: Annotated[str | None, Parameter(metavar="A,B,...")] = None,
    labels_file: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    prompt: Annotated[tuple[str, ...], Parameter(metavar="TEXT", negative="")] = (),
    k: Number = 1,
    output: Output = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Choose the labels that fit each record of a feature best, from a list of your own.

    No label has to have been trained for: the records of a feature of images or recordings are
    held against the labels' own vectors, by an encoder such as clip or clap. A label's share says
    how it does among those of the list, and nothing of what is not in it.

    Parameters
    ----------
    feature
        The feature.
    labels
        The labels, with commas between them.
    labels_file
        A text file with a label a line.
    prompt
        Words around each label, which stands at {}, such as "a photo of a {}."; given several
        times, the mean of the vectors is taken.
    k
        How many labels a record.
    output
        The .csv or .parquet file to write all rows to.
    """
    if (labels is None) == (labels_file is None):
        complain("labels come from --labels or from --labels-file; give one of the two", code=USAGE)
        return USAGE
    from flows.output import rows_out
    from flows.searching.across import label as choose

    if output is not None:
        rows_out.check(output)
    if labels_file is not None:
        lines = labels_file.read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = [part.strip() for part in str(labels).split(",")]
    return _tell(choose(load(conf), feature, names, prompt, k), output, json=json)


@app.command(group=SEARCH)
def caption(
    feature: str,
    /,
    *,
    captions: Annotated[str, Parameter(name="--from", metavar="FEATURE")],
    k: Number = 1,
    output: Output = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Find for each record of a feature the nearest records of another, which share a space.

    A photograph gets the nearest of the captions that there are; none are made up. What the
    captions' source keeps, such as their text, stands beside their ids.

    Parameters
    ----------
    feature
        The feature whose records are to have captions.
    captions
        The feature of the captions; shares_space_with in one of the two names the other.
    k
        How many captions a record.
    output
        The .csv or .parquet file to write all rows to.
    """
    from flows.output import rows_out
    from flows.searching.across import caption as find

    if output is not None:
        rows_out.check(output)
    return _tell(find(load(conf), feature, captions, k), output, json=json)


def _tell(named: Named, output: Path | None, *, json: bool) -> int:
    from flows.output import rows_out

    if output is not None:
        rows = rows_out.write(named.blocks, named.schema, output)
        if json:
            print_json([{"rows": rows, "path": str(output.absolute())}], json=True)
        else:
            say(f"{units.several(rows, 'row')} in {output}")
        return FINE
    rows_ = _rows(named)
    if json:
        print_json(rows_, json=True)
        return FINE
    table(list(islice(rows_, _SHOWN)), list(named.schema), measured=False)
    left = sum(1 for _ in rows_)
    if left:
        say(f"{units.several(left, 'row')} more; write all with --output FILE")
    return FINE


def _rows(named: Named) -> Iterator[dict[str, Any]]:
    for block in named.blocks:
        yield from block.iter_rows(named=True)
