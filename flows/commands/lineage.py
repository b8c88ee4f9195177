"""The command that traces a record's vectors to what made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.commands._app import LOOK, AsJson, Conf, Flag, Ordinal, app, load
from flows.commands._words import show
from flows.output import units
from flows.output.answers import print_json
from flows.output.codes import FINE
from flows.output.visible import beginning

if TYPE_CHECKING:
    from flows.lifecycle.lineage import Content, Lineage, Trace

_LONGEST = 160
"""Characters of a kept text that are shown."""


@app.command(group=LOOK)
def lineage(
    feature: str,
    id: str,  # noqa: A002 - the word for it
    /,
    *,
    version: Ordinal | None = None,
    place: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Tell what made the vectors of one record: encoder, run, source and content.

    Parameters
    ----------
    feature
        The feature.
    id
        The record's id, or that of a chunk of it where rows are chunks.
    version
        The version to look at, instead of all that hold the record.
    place
        Read the source, up to the record, to say at which file and line it stands now.
    """
    from flows.lifecycle.lineage import lineage as trace_of

    found = trace_of(load(conf), feature, id, version, place=place)
    print_json([found.row()], json=json)
    if not json:
        _tell(found)
    return FINE


def _tell(found: Lineage, inset: str = "") -> None:
    kind = f" ({found.source_kind})" if found.source_kind else ""
    show(f"{inset}{found.feature} {found.record_id!r} of the source {found.source!r}{kind}")
    show(f"{inset}  place: {found.place or 'not looked for; --place reads the source to find it'}")
    for letter in found.dead:
        published = "" if letter["published"] else ", of a run that published nothing"
        show(
            f"{inset}  dead letter in v{letter['version']} since {units.moment(letter['since'])}, "
            f"run {letter['run_id']}{published}: {letter['place']}: {letter['reason']}"
        )
    if not found.traces:
        show(f"{inset}  no vector: the record has never been encoded")
    for trace in found.traces:
        _tell_trace(trace, inset)


def _tell_trace(trace: Trace, inset: str) -> None:
    then = "" if trace.then == trace.standing else f", {trace.then} when this was written"
    show(f"{inset}{trace.table}, {trace.standing}{then}")
    model = f" {trace.model}" if trace.model else ""
    differs = f", against the live version's: {trace.differs}" if trace.differs else ""
    show(f"{inset}  encoder: {trace.encoder}{model}, {trace.dim} wide, {trace.metric}{differs}")
    code = f", made by Vecmill {trace.code_version}" if trace.code_version else ""
    show(f"{inset}  fingerprint: {trace.fingerprint}{code}; all of it: `vecmill recipe "
         f"{trace.fingerprint[:12]}`")  # fmt: skip
    for chunk in trace.chunks:
        start, end = chunk.span or (0, 0)
        _tell_content(chunk, f"  chunk {chunk.row_id}, {trace.unit} {start} to {end}", inset)
    if not trace.chunks:
        _tell_content(trace.content, "  content", inset)
    for content in trace.before:
        _tell_content(content, "  before", inset)
    for part in trace.parts:
        show(f"{inset}  made of")
        _tell(part, inset + "    ")


def _tell_content(content: Content, word: str, inset: str) -> None:
    of = f", of {units.moment(content.event_time)}" if content.event_time else ""
    at = f", encoded {units.moment(content.encoded_at)}" if content.encoded_at else ""
    show(f"{inset}{word}: {content.content_hash}{of}{at}")
    told = [f"{name} {_short(value)}" for name, value in content.kept.items() if value is not None]
    if told:
        show(f"{inset}    kept: {', '.join(told)}")
    run = content.run
    if run is None:
        show(f"{inset}    run: {content.run_id}, which the catalog does not know")
        return
    code = f", Vecmill {run['code_version']}" if run["code_version"] else ""
    show(
        f"{inset}    run: {content.run_id}, a {run['kind']}, {run['status']}, started "
        f"{units.moment(run['started_at'])}{code}"
    )
    show(f"{inset}    held by the published states of: {', '.join(content.held_by) or 'none'}")


def _short(value: object) -> str:
    from flows.output.console import cell

    return beginning(value, _LONGEST) if isinstance(value, str) else cell(value)
