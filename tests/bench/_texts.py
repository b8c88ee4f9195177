"""News items through a cold run, and through a script that calls ``SentenceTransformer.encode``."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from encoders._hub import MINILM, locate
from tests.bench._arms import Ran, Ratio, costs, interleaved, ratio, ratios, run
from tests.bench._targets import Measure

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.bench._arms import Cost

CONF = """
[sources.news]
kind = "table"
path = "news.csv"
id = "id"
content = ["title", "body"]

[encoders]
plain = { kind = "sentence" }
auto = { kind = "sentence", dtype = "auto" }

[features]
plain = { source = "news", encoder = "plain" }
auto = { source = "news", encoder = "auto" }
"""
_BATCH = 64
"""Texts at a time that ``kind = "sentence"`` takes unless told otherwise."""

_CLOSE = 0.999


def measure(data: Path, scratch: Path, asked: argparse.Namespace) -> list[Measure]:
    """Rates of cold runs as multiples of a bare loop's."""
    news, model = scratch / "news.csv", str(locate(MINILM, None))
    _first(data / "text/ag_news.csv", news, asked.records)
    (scratch / "conf").mkdir()
    conf = scratch / "conf/base.toml"
    conf.write_text(CONF)
    short = _auto()
    bare = partial(run, "-m", "tests.bench._bare", "text", news, model, scratch=scratch)
    arms = {
        "bare, its defaults": partial(bare, scratch / "default.npz"),
        "bare, float32, our batch": partial(bare, scratch / "same.npz", "--batch", _BATCH),
        f"bare, {short}, our batch": partial(
            bare, scratch / "short.npz", "--batch", _BATCH, "--dtype", short
        ),
        "ours, float32": partial(cold, conf, "plain", scratch),
        f"ours, {short}": partial(cold, conf, "auto", scratch),
    }
    found = interleaved(arms, asked.turns)
    default, same, same_short, ours, ours_short = found.values()
    more = {"records": asked.records, "costs": costs(found)}
    pairs = (
        ("float32, over a bare loop of the same batch", same, ours, 0.95),
        (f"{short}, over a bare loop of the same batch", same_short, ours_short, 0.95),
        (f"{short}, over a bare loop by its defaults", default, ours_short, 2.0),
    )
    measures = []
    for name, theirs, own, least in pairs:
        for cost in ("cpu", "wall"):
            told = rate(theirs, own, cost)
            measures.append(Measure(f"text, {name}: rate by {cost}", told, least=least, more=more))
        whole = ratio(theirs, own, "cpu")
        measures.append(Measure(f"text, {name}: CPU of whole processes, theirs over ours", whole))
    close = cosine(scratch / "default.npz", vectors(conf, "auto"))
    return [*measures, Measure("text: least cosine to float32", close, least=_CLOSE)]


def _first(csv_file: Path, target: Path, records: int) -> None:
    with csv_file.open(encoding="utf-8", newline="") as file:
        rows = [row for row, _ in zip(csv.reader(file), range(records + 1), strict=False)]
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _auto() -> str:
    """What ``dtype = "auto"`` comes to here; asked of a child, since torch is large."""
    import subprocess
    import sys

    code = "from encoders._precision import resolved; print(resolved('auto', 'cpu'))"
    asked = [sys.executable, "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own code


def rate(bare: list[Ran], ours: list[Ran], cost: Cost) -> Ratio:
    """Our rate as a multiple of a bare loop's, both without starting up and loading the model.

    Ours counts planning, encoding, committing and publishing, and what libraries these load.
    """
    theirs = [float(json.loads(ran.output)[cost]) for ran in bare]
    steps = [json.loads(ran.output)["steps"] for ran in ours]
    own = [sum(took[cost] for name, took in each.items() if name != "prepare") for each in steps]
    return ratios(theirs, own)


def cold(conf: Path, feature: str, scratch: Path) -> Ran:
    shutil.rmtree(conf.parent.parent / "data", ignore_errors=True)
    ran = run("-m", "tests.bench._run", conf, feature, scratch=scratch)
    encoded = json.loads(ran.output)["outcome"]["encoded"]
    if not encoded:
        raise AssertionError(f"the cold run of {feature} encoded {encoded} records")
    return ran


def vectors(conf: Path, feature: str) -> dict[str, NDArray[np.float32]]:
    """What a feature holds, by record id."""
    from flows.config.configuration import load
    from flows.config.stores import Stores

    stores = Stores.of(load(conf))
    version = stores.catalog.live(feature)
    manifest = stores.catalog.published(version) if version else None
    assert version is not None
    assert manifest is not None
    rows = stores.vectors.dataset(version.table, manifest.lance_version).to_table(
        columns=["record_id", "vector"]
    )
    matrix = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    return dict(zip(rows["record_id"].to_pylist(), matrix, strict=True))


def cosine(file: Path, ours: dict[str, NDArray[np.float32]]) -> float:
    """The least cosine of a record's two vectors."""
    saved = np.load(file)
    pairs = [
        (theirs, ours[name]) for name, theirs in zip(saved["ids"], saved["vectors"], strict=True)
    ]
    cosines = [one @ two / np.linalg.norm(one) / np.linalg.norm(two) for one, two in pairs]
    return float(min(cosines))
