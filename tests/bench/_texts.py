"""News items through a cold run, and through a script that calls ``SentenceTransformer.encode``."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from encoders._hub import MINILM, locate
from tests.bench._arms import Ran, costs, interleaved, ratio, run
from tests.bench._targets import Measure

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from numpy.typing import NDArray

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
        "ours, float32": partial(_cold, conf, "plain", scratch),
        f"ours, {short}": partial(_cold, conf, "auto", scratch),
    }
    found = interleaved(arms, asked.turns)
    default, same, same_short, ours, ours_short = found.values()
    more = {"records": asked.records, "costs": costs(found)}
    measures = []
    for cost in ("cpu", "wall"):
        measures += [
            Measure(
                f"text, {cost}: rate over a bare loop, float32, same batch",
                ratio(same, ours, cost), least=0.95, more=more,
            ),
            Measure(
                f"text, {cost}: rate over a bare loop, {short}, same batch",
                ratio(same_short, ours_short, cost), least=0.95,
            ),
            Measure(
                f"text, {cost}: rate of dtype = 'auto' over a bare loop's defaults",
                ratio(default, ours_short, cost), least=2,
            ),
        ]  # fmt: skip
    close = _cosine(scratch / "default.npz", _vectors(conf, "auto"))
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


def _cold(conf: Path, feature: str, scratch: Path) -> Ran:
    shutil.rmtree(conf.parent.parent / "data", ignore_errors=True)
    ran = run("-m", "tests.bench._run", conf, feature, scratch=scratch)
    encoded = json.loads(ran.output)["outcome"]["encoded"]
    if not encoded:
        raise AssertionError(f"the cold run of {feature} encoded {encoded} records")
    return ran


def _vectors(conf: Path, feature: str) -> dict[str, NDArray[np.float32]]:
    """What a feature holds, by record id."""
    from flows.configuration import load
    from flows.stores import Stores

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


def _cosine(file: Path, ours: dict[str, NDArray[np.float32]]) -> float:
    """The least cosine of a record's two vectors."""
    saved = np.load(file)
    pairs = [
        (theirs, ours[name]) for name, theirs in zip(saved["ids"], saved["vectors"], strict=True)
    ]
    cosines = [one @ two / np.linalg.norm(one) / np.linalg.norm(two) for one, two in pairs]
    return float(min(cosines))
