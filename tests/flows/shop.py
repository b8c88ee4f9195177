"""A project with a feature over two others, for tests of such."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from tests.flows.plugins.letters import vector_of
from tests.flows.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from flows.pipeline.outcomes import Outcome

MORE = """
[sources.photos]
kind = "table"
path = "photos.csv"
id = "photo"
content = "caption"
event_time = "taken"
keep = ["product", "spot"]

[encoders.eye]
kind = "letters"
log = "{root}/seen.jsonl"
dim = 5
revision = {eye}

[encoders.fused]
kind = "fuse"
{fuse}

[features.photos]
source = "photos"
encoder = "eye"
max_dead = 1.0
max_deleted = 1.0

[features.products]
over = {over}
require = "{require}"
encoder = "fused"
max_dead = 1.0
max_deleted = 1.0
{keys}
"""
PHOTOS = [("p1", "a", "red", "2024-01-01", "x"), ("p2", "b", "blue", "2024-01-02", "y")]
NOTES = [("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z")]


@dataclass
class Heard(Silent):
    """Keeps what it is told."""

    notes: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Shop(Project):
    """Products with a text in ``notes`` and a photograph, which names its product."""

    over = '["notes", { feature = "photos", id = "product" }]'
    require = "all"
    fuse = ""
    keys = ""
    eye = 1

    def configure(self) -> None:
        keys = {
            "root": self.root, "eye": self.eye, "fuse": self.fuse, "over": self.over,
            "require": self.require, "keys": self.keys,
        }  # fmt: skip
        self.more = MORE.format(**keys)

    def photos(self, rows: Iterable[Sequence[object]]) -> None:
        with (self.root / "photos.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("photo", "product", "caption", "taken", "spot"), *rows])

    def run_told(self, name: str, heard: Heard) -> None:
        pipeline.embed(self.settings(), name, Direct(), heard)

    def bring_up(self, *names: str) -> list[Outcome]:
        self.configure()
        return [self.run(name=name) for name in names or ("notes", "photos", "products")]


def unit(text: str, dim: int) -> NDArray[np.float64]:
    """The vector that ``letters`` draws for a text, brought to norm 1."""
    drawn = vector_of(text, dim).astype(np.float64)
    found: NDArray[np.float64] = drawn / np.linalg.norm(drawn)
    return found
