"""The command that writes vectors to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import SEARCH, AsJson, Conf, Flag, Ordinal, app, load
from flows.commands.query import AsOf  # noqa: TC001 - as above
from flows.output import units
from flows.output.answers import complain, print_json, say
from flows.output.codes import FINE, USAGE
from storage.model import Form  # noqa: TC001 - as above

_FORMS: dict[str, Form] = {".parquet": "parquet", ".arrow": "arrow", ".npy": "npy", "": "npy"}


@app.command(group=SEARCH)
def export(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"], metavar="PATH")] = None,
    format: Form | None = None,  # noqa: A002 - the option's name
    version: Ordinal | None = None,
    as_of: AsOf = None,
    where: Annotated[str | None, Parameter(metavar="SQL")] = None,
    history: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Write a feature's vectors and kept columns to a file that a training job can read.

    Parameters
    ----------
    feature
        The feature.
    output
        The file to write, over what is there; for npy a folder of vectors.npy and rows.parquet.
        Where none is given it is called as the feature, here, and replaces nothing.
    format
        parquet, arrow or npy; where none is given, the ending of the path says which, and without
        a path it is parquet.
    version
        The version, instead of the live one.
    as_of
        What readers saw when this run was published, or at this time.
    where
        A condition on the columns of the feature's view, such as "label = 'news'".
    history
        All that records ever were, with valid_from and valid_until, instead of what they are.
    """
    from flows.export import Asked
    from flows.export import export as write

    if output is None:
        output = _unnamed(feature, format or "parquet")
    form = format or _FORMS.get(output.suffix.lower())
    if form is None:
        complain(
            f"the ending of {output} says no format; add --format parquet, arrow or npy", code=USAGE
        )
        return USAGE
    row = write(load(conf), feature, Asked(output, form, version, as_of, where, history))
    print_json([row], json=json)
    if not json:
        rows = units.several(row["rows"], "row")
        say(f"wrote {rows} of {feature} v{row['version']} to {row['path']}")
    return FINE


def _unnamed(feature: str, form: Form) -> Path:
    """Where an export goes that was given no place: never over what nobody has named.

    Raises:
        UsageError: if something is there.
    """
    from storage.model import UsageError

    place = Path(feature if form == "npy" else f"{feature}.{form}")
    if place.exists():
        raise UsageError(f"{place} is there already; name it as --output to replace it, or another")
    return place
