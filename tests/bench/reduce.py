"""What smaller vectors keep of the neighbours among news, and how fast they are searched.

``VECMILL_TEST_DATA=... python -m tests.bench reduce`` embeds 2,000 articles of AG News with
all-MiniLM-L6-v2 (some minutes), makes features of smaller vectors over these, and prints what
`vecmill reduced` says of each, searched by 1,000 records; then the time of an exact search among
100,000 vectors of 384 dimensions as float32, as int8 and as bits.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from encoders import registry
from flows.analysis.reduced import measure
from flows.config.configuration import load
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from storage.codes import Codes
from storage.vectors import Vectors

ROWS, QUERIES = 2_000, 1_000
SEARCHED, DIM, REPEATS = 100_000, 384, 5
ARTICLES = """
[sources.news]
kind = "table"
path = "news.csv"
id = "id"
content = ["title", "body"]

[encoders.minilm]
kind = "sentence"

[features.articles]
source = "news"
encoder = "minilm"
"""
FEATURE = """
[encoders.{name}]
{keys}

[features.{name}]
over = ["{over}"]
encoder = "{name}"
"""
WAYS = {
    "int8": ("articles", "kind = 'quantize'"),
    "bits": ("articles", "kind = 'quantize'\nbits = 1"),
    "plain_bits": ("articles", "kind = 'quantize'\nbits = 1\ncentre = false"),
    "first": ("articles", "kind = 'truncate'\ndim = 128\nmatryoshka = true"),
    "first_bits": ("first", "kind = 'quantize'\nbits = 1"),
    "pca": ("articles", "kind = 'pca'\nreads = 'vector'\ndim = 128"),
    "pca_int8": ("pca", "kind = 'quantize'"),
    "pca_bits": ("pca", "kind = 'quantize'\nbits = 1"),
    "autoencoder": ("articles", "kind = 'autoencoder'\nreads = 'vector'\ndim = 128"),
}
"""Of each feature, what it is over, and the keys of its encoder."""


def main() -> int:
    """Print both tables."""
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        sys.stderr.write("VECMILL_TEST_DATA is not set; point it at the folder of test data\n")
        return 2
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        console.print(kept(Path(data), Path(folder)))
        console.print(speeds(Path(folder)))
    return 0


def kept(data: Path, root: Path) -> Table:
    """What each way keeps and saves."""
    with (data / "text" / "ag_news.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[: ROWS + 1]
    with (root / "news.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    ways = {name: way for name, way in WAYS.items() if _there(name)}
    more = [FEATURE.format(name=name, over=over, keys=keys) for name, (over, keys) in ways.items()]
    (root / "vecmill.toml").write_text(ARTICLES + "".join(more), encoding="utf-8")
    settings = load(root / "vecmill.toml")
    for name in ("articles", *ways):
        pipeline.embed(settings, name, Direct(), Silent())
    table = Table("feature", "how", "dim", "recall@10", "±", "vector bytes", "bytes", "smaller by")
    for name in ways:
        for row in measure(settings, name, size=QUERIES).table()[1:]:
            table.add_row(
                name, row["how"], str(row["dim"]), f"{row['recall@10']:.3f}", f"{row['±']:.3f}",
                f"{row['vector_bytes']:,}", f"{row['bytes']:,}", f"{row['smaller']:.3g}",
            )  # fmt: skip
    return table


def _there(name: str) -> bool:
    over, keys = WAYS[name]
    kind = keys.split("'")[1]
    return kind in registry.kinds() and (over == "articles" or _there(over))


def speeds(root: Path) -> Table:
    """Seconds of an exact search, the best of a few."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((SEARCHED, DIM)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), DIM)
    ids = pa.array([str(i) for i in range(SEARCHED)])
    found = pa.table({"record_id": ids, "vector": flat})
    vectors = Vectors(str(root / "speed"))
    ways = {
        "float32": None,
        "int8": Codes(8, np.full(DIM, 8 / 254), np.zeros(DIM)),
        "bits": Codes(1, np.ones(DIM), np.zeros(DIM)),
    }
    table = Table("held as", "seconds a search")
    for name, codes in ways.items():
        state = vectors.rewrite(name, found.to_reader(), codes)
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            vectors.nearest(name, state, rows[5], 10, "cosine")
            times.append(time.perf_counter() - started)
        table.add_row(name, f"{min(times):.3f}")
    return table
