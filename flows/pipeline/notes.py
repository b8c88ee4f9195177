"""What is said beside the counts of a run: of chunks, of what was left as it is or not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.output import units

if TYPE_CHECKING:
    from flows.output.progress import Reporter
    from flows.pipeline.outcomes import Outcome
    from flows.pipeline.reading import Reading
    from storage.catalog import Catalog
    from storage.difference import Difference
    from storage.model import Version
    from storage.staging import Unread


def note_chunks(name: str, reading: Reading, reporter: Reporter) -> None:
    """Say what records were cut into, where they were: rows are what is counted elsewhere."""
    if reading.cutter is not None and reading.records:
        reporter.note(
            f"{name}: {units.verb(reading.records, 'record', 'is', 'are')} "
            f"{units.several(reading.rows, 'chunk')}, a row each"
        )


def note_left_out(
    name: str, reading: Reading, difference: Difference, reporter: Reporter, *, remove: bool
) -> None:
    """Say what a run over a feature leaves as it is, and why."""
    for remark in reading.remarks:
        reporter.note(f"{name}: {remark}")
    if remove and (kept := difference.held_back()):
        reporter.note(
            f"{name}: {kept:,} published ids are not in the source any more, but "
            "it has rows whose id cannot be read, which may be they; nothing is removed until "
            f"these are mended (see `vecmill dead {name}`)"
        )
    if reading.outside and reading.scope.kind != "backfill":  # which tells it once of all windows
        reporter.note(in_no_window(name, reading.outside))


def in_no_window(name: str, number: int) -> str:
    """Say how many records are in no window of event times, and what takes them."""
    it_is, it = ("it is", "it") if number == 1 else ("they are", "them")
    return (
        f"{name}: {units.verb(number, 'record', 'has', 'have')} no event time or cannot be read, "
        f"so {it_is} in no window; `vecmill run {name}` takes {it}, or says what is wrong"
    )


def note_cut(name: str, version: Version, unread: Unread, reporter: Reporter) -> None:
    """Say how much of the texts the encoder did not read."""
    cut = unread.cut
    if cut.cut_texts:
        limit = "" if unread.limit is None else f" ({unread.limit:,} tokens)"
        advice = "; set chunk to have them read" if "chunk" in version.params else ""
        reporter.note(
            f"{name}: {cut.cut_texts:,} of {units.several(unread.texts, 'text')} "
            f"{'was' if cut.cut_texts == 1 else 'were'} longer than "
            f"the encoder reads{limit}: {cut.cut_tokens:,} of {cut.text_tokens:,} tokens were cut, "
            f"and are not in the vectors{advice}"
        )


def note_standing(outcome: Outcome, catalog: Catalog, reporter: Reporter) -> None:
    """Say that readers do not see what was made, where that is so."""
    if outcome.standing == "live":
        return
    live = catalog.live(outcome.feature)
    if live is not None and live.version != outcome.version:
        reporter.note(
            f"{outcome.feature}: this run brought v{outcome.version} up to date, a "
            f"{outcome.standing} version; readers go on seeing v{live.version}, which was not. "
            f"{_advice(outcome)}"
        )


def _advice(outcome: Outcome) -> str:
    feature, version = outcome.feature, outcome.version
    promote = f"`vecmill promote {feature} {version}`"
    if outcome.standing == "retired":
        return (
            f'To keep up to date what readers see, set update = "live" in [features.{feature}], '
            f"or the encoder back to what it was; to go back to v{version}, {promote}"
        )
    return f"Make it live with {promote}"
