"""Texts of a few topics that words tell apart, in a project that encodes them by LSA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.flows.project import Project

TOPICS = ("mill", "pets", "news")

Row = tuple[str, str, str]


def texts(n: int, seed: int = 2, begin: int = 0) -> list[Row]:
    """Records ``r0`` and so on: an id, a text of six words, and its topic."""
    rng = np.random.default_rng(seed)
    words = {topic: [f"{topic}{letter}" for letter in "abcdefghijkl"] for topic in TOPICS}
    rows = []
    for nth in range(begin, begin + n):
        topic = TOPICS[nth % 3]
        common = [f"word{'abcdefghij'[i]}" for i in rng.integers(0, 10, 2)]
        rows.append((f"r{nth}", " ".join([*rng.choice(words[topic], 4), *common]), topic))
    return rows


def topical(project: Project, rows: list[Row], dim: int = 8) -> Project:
    """The project with these records, the text kept too; nothing is run."""
    project.encoder = {"kind": "lsa", "dim": dim, "min_texts": 1}
    project.source = {"keep": ["label", "text"]}
    project.write(rows)
    return project
