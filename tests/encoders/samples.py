"""Inputs of every modality: a common batch, and the odd things that real data holds."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image

from encoders.media import Audio
from encoders.vectors import column
from flows.sources._adjacency import Ends, adjacency
from flows.sources._neighbourhoods import contents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoders.base import Modality

WORDS = (
    *("a", "the", "cat", "dog", "mill", "stone", "vector", "passage", ":"),
    *("grain", "wheel", "ground", "flour", "fine", "it", "is", "not", "so"),
)
"""The words that the tiny text model knows."""

ROWS = 48


def usual(modality: Modality) -> Any:  # noqa: ANN401 - a batch, see `Encoder.encode`
    """Forty-eight different records, long beside short."""
    rng = np.random.default_rng(11)
    makers = {
        "text": _texts, "image": _images, "audio": _recordings, "tabular": _rows,
        "vector": _vectors, "graph": _nodes, "interactions": _interactions,
    }  # fmt: skip
    return makers[modality](rng)


def odd(modality: Modality) -> Any:  # noqa: ANN401 - as above
    """Records at the edge of what is allowed."""
    if modality == "text":
        return [
            "",
            " ",
            "a",
            "🙂👩‍👩‍👧",
            "\x00",
            "ﷺ́̂",
            "mill stone " * 3000,
            "x" * 20_000,
            "https://a.b/c.jpg",
        ]
    if modality == "image":
        sides = [(1, 1), (1, 700), (700, 1), (33, 17), (640, 480)]
        plain = [Image.new("RGB", side, colour) for side in sides for colour in ("black", "white")]
        noise = np.random.default_rng(4).integers(0, 256, (64, 31, 3), dtype=np.uint8)
        return [*plain, Image.fromarray(noise)]
    if modality == "audio":
        silence, one = np.zeros(8000, np.float32), np.ones(1, np.float32)
        click = np.eye(1, 9000, 4500, dtype=np.float32)[0]
        waves = [
            (silence, 8000),
            (one, 8000),
            (silence[:2], 44_100),
            (click, 11_025),
            (one, 48_000),
        ]
        return [Audio(samples, rate) for samples, rate in waves]
    makers = {"vector": _odd_vectors, "graph": _odd_nodes, "interactions": _odd_interactions}
    if modality in makers:
        return makers[modality]()
    nothing = dict.fromkeys(usual("tabular").columns)
    strange = {"size": 1e30, "count": -(2**40), "sort": "never seen before", "fresh": True}
    return pl.DataFrame([nothing, nothing | strange], schema=usual("tabular").schema)


def labels(modality: Modality) -> list[str | None]:
    """A class for most of the records that `usual` gives, and none for every fifth."""
    batch = usual(modality)
    return [None if row % 5 == 4 else "ab"[row % 2] for row in range(len(batch))]


def take(batch: Any, rows: Sequence[int]) -> Any:  # noqa: ANN401 - as above
    """Some records of a batch, in the given order."""
    return batch[list(rows)] if isinstance(batch, pl.DataFrame) else [batch[row] for row in rows]


def joined(first: Any, second: Any) -> Any:  # noqa: ANN401 - as above
    """One batch of two."""
    return pl.concat([first, second]) if isinstance(first, pl.DataFrame) else [*first, *second]


def content(batch: Any) -> object:  # noqa: ANN401 - as above
    """A copy of all that a batch holds, to see later whether it has changed."""
    if isinstance(batch, pl.DataFrame):
        return batch.clone().to_dicts(), batch.schema
    return [_plain(record) for record in batch]


def _plain(record: str | Audio | Image.Image) -> object:
    if isinstance(record, Audio):
        return record.samples.tobytes(), record.rate
    if isinstance(record, Image.Image):
        return record.mode, record.size, record.tobytes()
    return record


def _texts(rng: np.random.Generator) -> list[str]:
    lengths = [*rng.integers(1, 12, ROWS - 2), 150, 400]
    return [" ".join(rng.choice(WORDS, int(length))) for length in lengths]


def _images(rng: np.random.Generator) -> list[Image.Image]:
    images = []
    for row in range(ROWS):
        coarse = rng.integers(0, 256, (4, 4 + row % 3, 3), dtype=np.uint8)
        side = (24 + row, 60 - row)
        images.append(Image.fromarray(coarse).resize(side, Image.Resampling.BICUBIC))
    return images


def _recordings(rng: np.random.Generator) -> list[Audio]:
    waves = []
    for row in range(ROWS):
        rate = (8000, 16_000, 22_050)[row % 3]
        time = np.arange(int(rate * (0.05 + 0.03 * row))) / rate
        wave = np.sin(2 * np.pi * (110 + 60 * row) * time) + 0.1 * rng.standard_normal(len(time))
        waves.append(Audio((0.4 * wave).clip(-1, 1).astype(np.float32), rate))
    return waves


def _vectors(rng: np.random.Generator) -> pl.DataFrame:
    """Three parts, the first two of one space; each lacks in some records, never all.

    A fourth, which no record lacks, is for encoders that are over one.
    """
    widths = {"titles": 6, "bodies": 6, "prices": 3}
    lacking = {"titles": 1, "bodies": 4, "prices": 7}
    columns = {}
    for name, dim in widths.items():
        drawn = rng.normal(0.3, 2.0, (ROWS, dim)).astype(np.float32)
        columns[name] = column(drawn, np.arange(ROWS) % 9 != lacking[name])
    wide = rng.normal(0.3, 2.0, (ROWS, 36)).astype(np.float32)
    columns["pages"] = column(wide, np.ones(ROWS, bool))
    return pl.DataFrame(columns)


def _odd_vectors() -> pl.DataFrame:
    """Nothing at all, zeros, the very small and the very large."""
    values = np.array([[0.0], [0.0], [1e-45], [-1e-20], [1e30], [3.4e38]], np.float32)
    there = np.arange(len(values)) > 0
    return pl.DataFrame(
        {
            name: column(np.repeat(values, part.to_numpy().shape[1], axis=1), there)
            for name, part in usual("vector").to_dict().items()
        }
    )


def _nodes(rng: np.random.Generator) -> pl.DataFrame:
    """Nodes of two crowds, who have words of their own, and a few who know both."""
    crowd = np.arange(ROWS) % 2
    ends = np.array(
        [
            (one, other)
            for one in range(ROWS)
            for other in range(one)
            if rng.random() < (0.25 if crowd[one] == crowd[other] else 0.02)
        ]
    )
    ids = [f"n{row:02d}" for row in range(ROWS)]
    graph = adjacency(
        ids, Ends(ends[:, 0], ends[:, 1], rng.uniform(0.5, 2, len(ends))), directed=False, fanout=0
    )
    features = pl.DataFrame(
        {
            "about": [
                " ".join(rng.choice(WORDS[:9] if side else WORDS[9:], 3 + row % 4))
                for row, side in enumerate(crowd)
            ],
            "age": rng.normal(40, 9, ROWS),
            "sort": pl.Series([None if i == 3 else "abc"[i] for i in rng.integers(0, 4, ROWS)]),
        }
    )
    cells = contents(np.arange(ROWS), graph, 2, pl.Series(ids), features)
    return cells.struct.unnest()


def _odd_nodes() -> pl.DataFrame:
    """A node alone of which nothing is known, and one with strange words and one heavy edge."""
    known = usual("graph")
    nothing = {"about": None, "age": None, "sort": None}
    strange = {"about": "🙂 never seen " * 500, "age": 1e300, "sort": "new"}
    alone = {
        "node": "n07", "hops": 2, "ids": ["n07"], "degrees": [0.0],
        "starts": [], "ends": [], "weights": [], "features": [nothing],
    }  # fmt: skip
    heavy = {
        "node": "🙂", "hops": 2, "ids": ["🙂", "n03"], "degrees": [1e12, 1e12 + 4],
        "starts": [0, 1], "ends": [1, 0], "weights": [1e12, 1e12], "features": [strange, nothing],
    }  # fmt: skip
    light = heavy | {"node": "", "ids": ["", "n03"], "degrees": [1e-12, 4.0]}
    light |= {"weights": [1e-12, 1e-12]}
    return pl.DataFrame([alone, heavy, light], schema=known.schema)


def _rows(rng: np.random.Generator) -> pl.DataFrame:
    size = rng.normal(20, 5, ROWS)
    return pl.DataFrame(
        {
            "size": pl.Series([None if row % 9 == 0 else float(s) for row, s in enumerate(size)]),
            "count": rng.poisson(3, ROWS),
            "sort": pl.Series([None if i == 3 else "abc"[i] for i in rng.integers(0, 4, ROWS)]),
            "fresh": rng.random(ROWS) < 0.5,
            "ground_on": [date(2026, 1, 1 + row % 28) for row in range(ROWS)],
        }
    )


def _interactions(rng: np.random.Generator) -> pl.DataFrame:
    """Users and items in turn, who have met each other; some met few and some many."""
    half = ROWS // 2
    rates = np.round(1 + 4 * rng.random((half, half)), 1)
    met = rng.random((half, half)) < np.linspace(0.15, 0.8, half)[:, None]
    met |= np.eye(half, dtype=bool)
    sides = {"user": (rates, met), "item": (rates.T, met.T)}
    return pl.DataFrame(
        [
            {
                "side": side,
                "entity": str(row),
                "others": [str(other) for other in np.flatnonzero(met[row])],
                "weights": rates[row, met[row]].tolist(),
            }
            for row in range(half)
            for side, (rates, met) in sides.items()
        ]
    )


def _odd_interactions() -> pl.DataFrame:
    """Nobody met, nobody known, all known, and weights as small and as large as can be."""
    usual_ = usual("interactions")
    known = [str(row) for row in range(ROWS // 2)]
    weights = [[], [1.0], [3.0] * len(known), [0.0], [-1.0], [1e15], [-1e15], [1e-300]]
    others = [[], ["never met"], known, ["3"], ["3"], ["3"], ["3"], ["3"]]
    columns = {"others": others, "weights": weights}
    sides = [
        {"side": side, "entity": "🙂", **dict(zip(columns, row, strict=True))}
        for side in ("user", "item")
        for row in zip(*columns.values(), strict=True)
    ]
    return pl.DataFrame(sides, schema=usual_.schema)
