"""The records of each step: news, and the same with one in a hundred changed."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def news(folder: Path, records: int) -> tuple[dict[str, str], dict[str, str]]:
    """The first of AG News by id, and as many that come after them.

    Raises:
        ValueError: if there are too few.
    """
    with (folder / "text/ag_news.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: f"{row['title']}\n\n{row['body']}" for row in csv.DictReader(file)}
    names = [*rows]
    if 2 * records > len(names):
        raise ValueError(
            f"--records {records} needs {2 * records:,} news, since some are added, and there are "
            f"{len(names):,}; expected at most {len(names) // 2:,}"
        )
    return tuple({name: rows[name] for name in part}  # type: ignore[return-value]
                 for part in (names[:records], names[records : 2 * records]))  # fmt: skip


def changed(
    texts: Mapping[str, str], spare: Mapping[str, str], share: float = 0.01
) -> dict[str, str]:
    """The records with a share of them changed: half of those edited, a quarter each new and gone.

    Args:
        texts: as they were, by id.
        spare: records to add.
        share: of the records; at least four are changed.
    """
    touched = max(4, round(share * len(texts)))
    chance = random.Random(0)  # noqa: S311 - a draw, no secret
    quarter = touched // 4
    picked = chance.sample([*texts], touched - quarter)
    gone, edited = {*picked[:quarter]}, {*picked[quarter:]}
    kept = {
        name: f"Correction: {text}" if name in edited else text
        for name, text in texts.items()
        if name not in gone
    }
    return kept | dict([*spare.items()][:quarter])


def write(file: Path, texts: Mapping[str, str]) -> None:
    """The records as a CSV file with the columns ``id`` and ``text``."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "text"])
        writer.writerows(texts.items())
