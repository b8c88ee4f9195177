"""The sections of a report's page, each None where there is nothing to show in it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from encoders.thumbnail import TYPE
from flows.output import units
from flows.output.markup import Html, el, put
from flows.reports import tables
from flows.reports.bars import meter, number
from flows.reports.charts import mark, over_time
from flows.reports.dots import cloud
from flows.reports.grid import Column, cell, heading, table
from flows.reports.looks import anew, described, drawn, likely
from flows.reports.tables import chip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.reports.model import Card, Look, Points, Report, Watched


def sections(report: Report) -> Iterator[tuple[str, str, Html]]:
    """Those that the report has: the name of each, its heading and what is in it."""
    every = (
        ("monitors", "What each monitor says", _said(report)),
        ("drift", "Over time", _drift(report)),
        ("map", "Before and after", _map(report)),
        ("slices", "Slices", _parts(report, "slice", "Slice", _SLICES)),
        ("clusters", "Clusters that moved", _parts(report, "cluster", "Cluster", _CLUSTERS)),
        ("words", "Words that moved", _parts(report, "word", "Word", _WORDS)),
        ("records", "Records behind the findings", _records(report)),
        ("health", "Health and other checks", _health(report)),
        ("runs", "Runs", _runs(report)),
        ("changes", "What changed since the last version", _changes(report)),
        ("again", "How to get the same again", _again(report)),
    )
    for name, title, inside in every:
        if inside is not None:
            yield name, title, inside


_SLICES = "The same comparison within the records that share a value of a kept column."
_CLUSTERS = "What share of the records lies in each group of alike ones, before and after."
_WORDS = "Words that the texts have more or less of than before."


_HOLDS = {"nothing": "an alarm holds up nothing", "publishing": "an alarm holds up the run"}


def _lead(text: str) -> Html:
    return el("p", text, class_="lead")


def _said(report: Report) -> Html | None:
    if not report.findings:
        return None
    return el("ul", *map(_saying, report.findings), class_="said")


def _saying(watched: Watched) -> Html:
    now = watched.now
    against = f"against {now.n_reference:,}" if now.n_reference else "and none to compare them with"
    told = [f"{units.several(now.n_current, 'record')} {against}"]
    if watched.reference is not None:
        told.append(f"held against {watched.reference}")
    if watched.blocks in _HOLDS:
        told.append(_HOLDS[watched.blocks])
    p = likely(watched, now)
    told += [p] if p else []
    return el("li", chip(watched.verdict), el("h3", watched.monitor),
              el("p", watched.summary, el("small", "; ".join(told))))  # fmt: skip


# --- drift ----------------------------------------------------------------------------------------


def _drift(report: Report) -> Html | None:
    shown = [w for w in report.findings if drawn(w)]
    if not shown:
        return None
    lead = _lead(
        "What each monitor saw at each run that it looked at, the oldest left. A test has what it "
        "measured, over the band that chance alone keeps to, and the size of the effect; a count "
        "has the number of what was named, as bars, and of the records looked at. Below stands how "
        "likely that was if nothing had changed: by powers of ten, the unlikely above."
    )
    charts = [_chart(w, f"chart-{place}") for place, w in enumerate(shown)]
    return put(lead, _marks(), el("div", *charts, class_="charts"))


_MEANS = {
    "alarm": "an alarm: by the look itself, or by all looks of the series together",
    "watch": "would be an alarm by itself, and the series does not bear it out",
    "quiet": "quiet",
    "cannot tell": "too few records to tell",
}


def _marks() -> Html:
    """What the marks of the charts mean."""
    rows = [el("li", mark(verdict), words) for verdict, words in _MEANS.items()]
    band = "shaded: not enough for an alarm. Above it what was measured is more than chance alone "
    band += "gives, or p as small as the level that the look had to reach"
    rows.append(el("li", el("i", class_="swatch"), band))
    begun = "dashed: the series of looks begins anew, after an alarm or since the monitor is "
    begun += "configured otherwise, with the whole budget of false alarms"
    rows.append(el("li", el("i", class_="dash"), begun))
    return el("ul", *rows, class_="key marks")


def _chart(watched: Watched, name: str) -> Html:
    caption = el("figcaption", el("h3", watched.monitor), chip(watched.verdict),
                 el("p", described(watched)), _series(watched.now))  # fmt: skip
    return el("figure", caption, over_time(watched, name), _figures(watched))


def _series(look: Look) -> Html | None:
    """What a series of looks makes of them: its false alarms, and what lasts."""
    budget, spent, looks = (look.figure(name) for name in ("budget", "spent", "looks"))
    if budget is None or spent is None:
        return None
    n = "" if looks is None else f" in {looks:.0f} look{'' if looks == 1 else 's'}"
    words = f"{spent:.2%} of a false-alarm budget of {budget:.2%} spent{n}"
    told = [el("p", meter(spent, budget), words)]
    gathered, enough = look.figure("e_value"), look.figure("enough")
    if gathered is not None and enough is not None:
        words = f"evidence of a lasting change {gathered:.3g}, an alarm at {number(enough)}"
        told.append(el("p", meter(gathered, enough), words))
    return put(*told)


def _columns(watched: Watched) -> list[Column]:
    n = "what was found: how many" if watched.counts else "what the test measured, in its own unit"
    effect = "how large the change is, in the unit that the monitor's summary names"
    if watched.counts:
        effect = "the share of the records that it is about"
    return [
        Column("Run published"),
        Column("Verdict", "in brackets what the look says by itself, where the series says else"),
        Column(watched.counts.capitalize() if watched.counts else "Measured", n, is_number=True),
        Column("Allowed", "more is an alarm of this look alone", is_number=True),
        Column("p of this look", "how likely that is where nothing has changed", is_number=True),
        Column("Level to reach", "the p at which this look was an alarm by itself: the more looks "
               "a series has, the less; 0 where it could be none", is_number=True),
        Column("Effect", effect, is_number=True),
        Column("Records", "current ones that were looked at", is_number=True),
    ]  # fmt: skip


def _figures(watched: Watched) -> Html:
    begun = anew(watched)
    rows = []
    for k in reversed(watched.looks):
        at = el("time", f"{k.at:%Y-%m-%d %H:%M}", datetime=k.at.isoformat())
        why = begun.get(k.run_id)
        values = (k.statistic, k.threshold, k.p_value, k.figure("level"), k.effect_size)
        words = None if k.alone == k.verdict else f"{k.verdict} ({k.alone})"
        rows.append([
            heading(at, el("small", f"the series begins anew, {why}") if why else None),
            cell(chip(k.verdict, words)),
            *(cell(None if v is None else number(v)) for v in values),
            cell(number(k.n_current)),
        ])  # fmt: skip
    inside = table(_columns(watched), rows, f"The looks of {watched.monitor}, the newest first")
    return el("details", el("summary", f"Figures of {watched.monitor}"), inside)


# --- the map --------------------------------------------------------------------------------------


def _map(report: Report) -> Html | None:
    places = report.places
    if places is None:
        return None
    serious = [w for w in report.findings if w.verdict in {"alarm", "watch"}]
    rings = {i for w in serious for i in w.record_ids}
    rings |= {i for w in serious for part in w.parts for i in part.record_ids}
    # Those that are shown below: a ring around every other dot would mark none.
    rings &= {card.record_id for card in report.gallery} & set(places.current.ids)
    after = [("behind", places.reference), ("now", places.current)]
    n = len(places.reference.ids)
    ours = f"{units.several(len(places.current.ids), 'record')} of the run"
    panels = [
        _panel(
            "After",
            f"{ours} over the {n:,}",
            after,
            rings,
            "map-now",
        )
    ]
    if n:
        before = [("then", places.reference)]
        panels.insert(0, _panel("Before", f"{n:,} reference records", before, set(), "map-then"))
    else:
        panels = [_panel("Now", ours, after, rings, "map-now")]
    lead = _lead(f"A dot is a record; {places.told}. Both sides are drawn to the same scale.")
    return put(lead, el("div", *panels, class_="maps"), _key(n, rings))


def _panel(
    name: str, words: str, layers: Sequence[tuple[str, Points]], rings: set[str], key: str
) -> Html:
    caption = el("figcaption", el("b", name), el("span", words, class_="why"))
    return el("figure", caption, cloud(layers, rings, key, f"{name}: {words}"))


def _key(reference: int, rings: set[str]) -> Html:
    rows = [el("li", el("i"), "reference")] if reference else []
    rows.append(el("li", el("i"), "the run that was looked at", class_="now"))
    if rings:
        rows.append(el("li", el("i"), "named by an alarm, shown below", class_="ringed"))
    return el("ul", *rows, class_="key")


# --- parts and records ----------------------------------------------------------------------------


def _parts(report: Report, kind: str, what: str, lead: str) -> Html | None:
    found = list(report.parts(kind))
    return put(_lead(lead), tables.parts(found, what)) if found else None


def _records(report: Report) -> Html | None:
    detectors = list(report.parts("detector"))
    if not report.gallery and not detectors:
        return None
    below = None
    if detectors:
        below = put(el("h3", "Detectors", class_="apart"), tables.parts(detectors, "Detector"))
    cards = el("ul", *map(_card, report.gallery), class_="gallery") if report.gallery else None
    lead = _lead("The clearest records of each finding, those of alarms first.")
    return put(lead, cards, below)


def _card(card: Card) -> Html:
    picture = None
    if card.thumbnail is not None:
        source = f"data:{TYPE};base64,{b64encode(card.thumbnail).decode()}"
        picture = el("img", src=source, alt=f"thumbnail of {card.record_id}")
    sound = None
    if card.sound is not None:
        label = f"recording {card.record_id}"
        sound = el("audio", src=card.sound, controls=True, preload="none", aria_label=label)
    told = [put(el("dt", name), el("dd", text, dir="auto")) for name, text in card.columns.items()]
    gone = None if card.here else el("p", "Readers do not see this record.", class_="why")
    return el("li", picture, el("h3", card.record_id), el("p", "; ".join(card.because),
              class_="why"), gone, sound, el("dl", *told) if told else None)  # fmt: skip


# --- the rest -------------------------------------------------------------------------------------


def _health(report: Report) -> Html | None:
    found = tables.checks(report.findings)
    if found is None:
        return None
    lead = "What is right or wrong whatever the data are; what passed is here too."
    return put(_lead(lead), found)


def _runs(report: Report) -> Html | None:
    return tables.runs(report.runs) if report.runs else None


def _changes(report: Report) -> Html | None:
    if not report.changes:
        return None
    return el("ul", *(el("li", text) for text in report.changes), class_="plain")


def _again(report: Report) -> Html | None:
    if not report.commands:
        return None
    lines = [put(command, el("span", f"  # {what}\n", class_="what"))
             for command, what in report.commands]  # fmt: skip
    rows = [[heading(name), cell(el("code", value))] for name, value in report.states]
    lead = _lead(
        "Every figure above comes of published states that can be read again, and of chance that "
        "is seeded by the run."
    )
    return put(lead, el("pre", el("code", *lines), tabindex="0"),
               table((Column("What"), Column("Which")), rows, "States and seeds"))  # fmt: skip
