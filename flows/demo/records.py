"""The records of the demo: written, disturbed in known ways, and shifted so that drift shows.

Enough of each modality to encode, to change and to drift, and nothing is downloaded. `disturb`
says what it did, so that the demo can check that the next run did that work and no other.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.demo import raw as demo_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.demo.raw import Row

TEXTS = Path("texts/docstrings.csv")
IMAGES = Path("images")
AUDIO = Path("audio")
TABLE = Path("tables/cells.csv")

N_TEXTS, N_IMAGES, N_CELLS = 1000, 1780, 550
"""How many are written at first; of what there is beyond that, some are added later."""

N_SHIFTED = 150


@dataclass(frozen=True)
class Change:
    """What was done to the records of one feature, by record id.

    Attributes:
        changed: have other contents now.
        added: were not there before.
        deleted: are gone.
        broken: can no longer be read; for texts, a new line that never could.
        doubled: are there twice now, the second time with another content.
    """

    changed: tuple[str, ...]
    added: tuple[str, ...]
    deleted: tuple[str, ...]
    broken: tuple[str, ...]
    doubled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disturbance:
    """What `disturb` did; the ids of files are their paths below ``images`` and ``audio``."""

    texts: Change
    images: Change
    audio: Change
    table: Change


def write(folder: Path, rng: np.random.Generator) -> None:
    """Write all records below a folder; a seed gives the same bytes again.

    ``texts/docstrings.csv`` (id, module, kind, title, body), ``images/LABEL/INDEX.png``,
    ``audio/TIMBRE/NOTE_TAKE.wav`` and ``tables/cells.csv`` (id, label, size, ten measurements).
    """
    texts = demo_raw.docstrings()
    chosen = rng.choice(len(texts), size=N_TEXTS, replace=False)
    _write_rows(folder / TEXTS, [texts[row] for row in np.sort(chosen)])
    for name, pixels in demo_raw.digits()[:N_IMAGES]:
        _write_image(folder / IMAGES / name, pixels)
    for timbre in demo_raw.TIMBRES:
        for note in demo_raw.NOTES:
            for take in range(demo_raw.TAKES):
                _write_note(folder / AUDIO, f"{timbre}/{note}_{take}.wav", rng)
    _write_rows(folder / TABLE, demo_raw.cells(rng)[:N_CELLS])


def disturb(folder: Path, rng: np.random.Generator) -> Disturbance:
    """Change, add, delete and break some records of each feature of what `write` wrote."""
    return Disturbance(
        texts=_disturb_texts(folder / TEXTS, rng),
        images=_disturb_images(folder / IMAGES, rng),
        audio=_disturb_audio(folder / AUDIO, rng),
        table=_disturb_table(folder / TABLE, rng),
    )


def shift(folder: Path, rng: np.random.Generator) -> tuple[str, ...]:
    """Add 150 texts that are program code, which no docstring looks like; returns their ids."""
    code = demo_raw.code()
    rows = [code[row] for row in rng.choice(len(code), size=N_SHIFTED, replace=False)]
    with (folder / TEXTS).open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, fieldnames=list(rows[0])).writerows(rows)
    return tuple(row["id"] for row in rows)


def _disturb_texts(path: Path, rng: np.random.Generator) -> Change:
    rows = _read_rows(path)
    known = [row["id"] for row in rows]
    changed, deleted, doubled = _pick(known, (20, 10, 1), rng)
    unused = [row for row in demo_raw.docstrings() if row["id"] not in set(known)]
    added = [unused[row] for row in rng.choice(len(unused), size=10, replace=False)]
    again = [row | {"body": "The same id, another text."} for row in rows if row["id"] in doubled]
    for row in rows:
        if row["id"] in changed:
            row["body"] += "\n\nDeprecated: to be removed in the next release."
    kept = [row for row in rows if row["id"] not in deleted]
    _write_rows(path, [*kept, *added, *again])
    broken = "demo.line_with_too_many_fields"
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(f"{broken},demo,function,a title,a body,and,more\r\n")
    return Change(changed, _ids(added), deleted, (broken,), doubled)


def _disturb_images(folder: Path, rng: np.random.Generator) -> Change:
    from PIL import Image

    changed, deleted, broken = _pick(_names(folder, "png"), (10, 5, 1), rng)
    for name in changed:
        with Image.open(folder / name) as image:
            pixels = np.asarray(image)
        _write_image(folder / name, 255 - np.rot90(pixels))
    added = demo_raw.digits()[N_IMAGES : N_IMAGES + 5]
    for name, pixels in added:
        _write_image(folder / name, pixels)
    _remove(folder, deleted)
    _cut(folder, broken)
    return Change(changed, tuple(name for name, _ in added), deleted, broken)


def _disturb_audio(folder: Path, rng: np.random.Generator) -> Change:
    changed, deleted, broken = _pick(_names(folder, "wav"), (4, 3, 1), rng)
    added = tuple(f"{timbre}/a4_{demo_raw.TAKES}.wav" for timbre in ("bell", "flute", "violin"))
    for name in changed + added:
        _write_note(folder, name, rng)
    _remove(folder, deleted)
    _cut(folder, broken)
    return Change(changed, added, deleted, broken)


def _disturb_table(path: Path, rng: np.random.Generator) -> Change:
    rows = _read_rows(path)
    changed, deleted, broken = _pick(_ids(rows), (12, 6, 1), rng)
    for row in rows:
        if row["id"] in changed:
            row["mean_area"] = f"{rng.uniform(2600, 3000):.6g}"
        elif row["id"] in broken:
            # a reader that guesses types would now guess text: the column's has to be given
            row["mean_area"] = "12x4"
    present = set(_ids(rows))
    added = [row for row in demo_raw.cells(rng) if row["id"] not in present][:8]
    _write_rows(path, [*(row for row in rows if row["id"] not in deleted), *added])
    return Change(changed, _ids(added), deleted, broken)


def _pick(
    ids: Sequence[str], sizes: Sequence[int], rng: np.random.Generator
) -> tuple[tuple[str, ...], ...]:
    """Groups of these sizes, drawn at random; no id is in two of them."""
    rows: list[int] = rng.choice(len(ids), size=sum(sizes), replace=False).tolist()
    drawn = [ids[row] for row in rows]
    ends = np.cumsum(sizes).tolist()
    return tuple(
        tuple(sorted(drawn[end - size : end])) for size, end in zip(sizes, ends, strict=True)
    )


def _ids(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(row["id"] for row in rows)


def _names(folder: Path, extension: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*.{extension}"))


def _read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def _write_note(folder: Path, name: str, rng: np.random.Generator) -> None:
    """Synthesise the note that a file name tells, ``TIMBRE/NOTE_TAKE.wav``."""
    import soundfile

    path = folder / name
    timbre, pitch = demo_raw.TIMBRES[path.parent.name], demo_raw.NOTES[path.stem.split("_")[0]]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, demo_raw.note(timbre, pitch, rng), demo_raw.SAMPLE_RATE, subtype="PCM_16")


def _remove(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink()


def _cut(folder: Path, names: Sequence[str]) -> None:
    """Leave the first half of each file, as a copy that was broken off does."""
    for name in names:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
