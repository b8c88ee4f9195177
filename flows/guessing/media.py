"""Guesses for files that are records: texts, images, recordings."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flows.config.nearest import hint
from flows.guessing import coders
from flows.guessing.folders import nearly, parts_of_names, pattern
from flows.guessing.kinds import PLURAL
from flows.guessing.model import Guess, GuessError, Line
from flows.sources._pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.model import Wishes
    from flows.sources.base import Modality

_WILD = re.compile(r"([*?\[])")


def of_files(
    name: str,
    folder: str,
    names: Sequence[str],
    modality: Modality,
    wishes: Wishes,
    *,
    path: str | list[str] | None = None,
    whole: bool = True,
) -> Guess:
    """Guess for files below a folder that are of one modality.

    Args:
        name: of the feature.
        folder: as the configuration names it; empty for the project folder itself.
        names: their paths below it, sorted, at least one.
        modality: of each.
        wishes: what the user has said.
        path: what names them; None for a pattern of their endings.
        whole: whether these are all files.

    Raises:
        GuessError: if a column is asked for, or an encoder that does not read them.
    """
    for option, value in (("--content", wishes.content), ("--id", wishes.id)):
        if value:
            raise GuessError(
                f"{option} names a column, and these are files: a file is a record, and its path "
                "its id; leave it out, or take in a table"
            )
    coder = coders.usual(modality)
    if wishes.encoder is not None:
        coder, _ = coders.named(wishes.encoder, (modality,))
    found = pattern(names) if wishes.pattern is None else wishes.pattern or None
    lines = [Line("path", paths(folder, names) if path is None else path)]
    notes = []
    if found is not None:
        why = "as you said" if wishes.pattern else "becomes kept columns of these names"
        lines.append(Line("pattern", found, why))
    elif wishes.pattern is None and (almost := nearly(names)) is not None:
        fits, odd = almost
        notes.append(
            f"the paths have the form {fits}, but for {len(odd):,} of {len(names):,} files, such "
            f"as {odd[0]}: move these, or say --pattern '{fits}', which keeps what the folders of "
            "the others tell and makes dead letters of these"
        )
    elif (parts := parts_of_names(names)) > 1:
        fields = "_".join(f"{{part{n}}}" for n in range(1, parts + 1))
        ending = PurePosixPath(names[0]).suffix
        notes.append(
            f"the names have {parts} parts each; if they tell something, give them names and "
            f"they become kept columns: --pattern '{fields}{ending}', such as {names[0]}"
        )
    if wishes.keep is not None or modality == "text":
        lines.append(_keep(modality, found, wishes))
    if wishes.event_time:
        lines.append(Line("event_time", wishes.event_time, "as you said"))
    feature = [Line("monitors", coders.MONITORS, "run after each run: docs/monitoring.md")]
    if modality == "image":
        feature.append(Line("thumbnails", 96, "pixels of the small copies that pages show"))
    seen = f"{len(names):,} {PLURAL[modality] if len(names) != 1 else _one(modality)}"
    return Guess(
        name=name,
        what=seen if whole else f"the first {seen} seen",
        kind="files",
        modality=modality,
        source=tuple(lines),
        encoder=coder,
        feature=tuple(feature),
        notes=tuple(notes),
        size=0,
    )


def _keep(modality: Modality, found: str | None, wishes: Wishes) -> Line:
    """What is stored beside the vectors: all that the paths tell, and of texts the text."""
    known = [] if found is None else Pattern(found).fields
    if wishes.keep is not None:
        there = [*known, "path", *(["text"] if modality == "text" else [])]
        for name in wishes.keep:
            if name not in there:
                raise GuessError(
                    f"--keep {name}: of these files there are {', '.join(there)}{hint(name, there)}"
                    "; --pattern makes columns of what the paths tell"
                )
        return Line("keep", list(wishes.keep), "as you said; the path is always kept")
    note = "stored beside the vector"
    if "text" not in known:  # else it is what the paths call so
        known, note = [*known, "text"], f"{note}; of each text the first 10,000 characters"
    return Line("keep", known, note)


def _one(modality: Modality) -> str:
    return {"text": "text", "image": "image", "audio": "recording"}[modality]


def paths(folder: str, names: Sequence[str]) -> str | list[str]:
    """The patterns that name all files of these endings below a folder; one as a string."""
    begin = f"{_plain(folder).rstrip('/')}/" if folder else ""
    deep = "**/" if any("/" in name for name in names) else ""
    ends = sorted({PurePosixPath(name).suffix for name in names})
    if any(name.lower().endswith(".gz") for name in names):
        ends = sorted({"".join(PurePosixPath(name).suffixes[-2:]) for name in names})
    found = [f"{begin}{deep}*{_plain(end)}" for end in ends]
    return found[0] if len(found) == 1 else found


def _plain(text: str) -> str:
    """A text in which nothing is a wildcard."""
    return _WILD.sub(r"[\1]", text)
