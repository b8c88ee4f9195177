"""Drawings and captions in one space, as a project."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.config.configuration import load
from flows.config.stores import Stores
from storage import query
from tests.flows.shapes import CAPTIONS, draw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONF = """
[sources.photos]
kind = "files"
path = "photos/*.png"
pattern = "{colour}_{figure}_{take}.png"

[sources.captions]
kind = "table"
path = "captions.csv"
id = "id"
content = "caption"
keep = ["caption", "rank"]

[encoders.looks]
kind = "clip"
model = "clip"
reads = "image"

[encoders.words]
kind = "clip"
model = "MODEL"
reads = "text"

[encoders.plain]
kind = "sentence"
model = "sentence"

[features.photos]
source = "photos"
encoder = "looks"

[features.captions]
source = "captions"
encoder = "words"
shares_space_with = "photos"

[features.apart]
source = "captions"
encoder = "words"

[features.notes]
source = "captions"
encoder = "plain"
"""
GAP = "distances between (image and text|text and image) rank what was found here"


class Gallery:
    """Drawings and captions with a model for both."""

    def __init__(self, root: Path, takes: int) -> None:
        self.root, self.conf = root, root / "vecmill.toml"
        rng = np.random.default_rng(5)
        (root / "photos").mkdir(parents=True)
        for caption in CAPTIONS:
            for take in range(takes):
                name = f"{caption.replace(' ', '_')}_{take}.png"
                draw(caption, rng).save(root / "photos" / name)
        with (root / "captions.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [(f"c{n}", caption, n) for n, caption in enumerate(CAPTIONS)]
            csv.writer(file).writerows([("id", "caption", "rank"), *rows])
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        """Write the configuration, with some of its words replaced."""
        text = CONF
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.conf.write_text(text.replace("MODEL", "clip"), encoding="utf-8")

    def stores(self) -> Stores:
        return Stores.of(load(self.conf))


def vectors(gallery: Gallery, feature: str) -> dict[str, Any]:
    """The published vectors of a feature by record id."""
    stores = gallery.stores()
    with query.connect(stores.catalog, stores.vectors) as con:
        rows = con.sql(f"SELECT record_id, vector FROM {feature}").fetchall()  # noqa: S608 - our own words
    return {name: np.asarray(vector) for name, vector in rows}


def nearest(queries: Sequence[Any], found: dict[str, Any]) -> list[list[str]]:
    """Ids by falling cosine with each query, by NumPy alone."""
    names = sorted(found)
    cosines = np.array(queries) @ np.array([found[name] for name in names]).T
    return [[names[n] for n in order] for order in np.argsort(-cosines, axis=1, kind="stable")]
