"""From raw records to published vectors, on the data sets of VECMILL_TEST_DATA.

Each run is a process of its own, ``vecmill run --direct``, so that its peak memory is its own. It
prints what a cold run, a run with nothing changed and a run with one record in a hundred changed
cost, the quality of the vectors, and the cold text run beside a bare loop over the same texts.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from flows.config.configuration import load
from flows.config.stores import Stores
from storage import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CONF = """
[sources.ag_news]
kind = "table"
path = "ag_news.csv"
id = "id"
content = ["title", "body"]
keep = ["label"]

[sources.cifar10]
kind = "files"
path = "cifar10/*/*/*.jpg"
pattern = "{split}/{label}/{name}.jpg"

[sources.fsdd]
kind = "files"
path = "fsdd/*.wav"
pattern = "{digit}_{speaker}_{take}.wav"

[sources.adult]
kind = "table"
path = "adult.csv"
null_values = ["", "?"]
content = [
  "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation",
  "relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country",
]
keep = ["income"]

[encoders]
sentence = { kind = "sentence" }
vision = { kind = "vision" }
mfcc = { kind = "mfcc" }
tabular = { kind = "tabular" }

[features]
ag_news = { source = "ag_news", encoder = "sentence" }
cifar10 = { source = "cifar10", encoder = "vision" }
fsdd = { source = "fsdd", encoder = "mfcc" }
adult = { source = "adult", encoder = "tabular" }
"""


@dataclass(frozen=True)
class Measured:
    """One run of one feature: what it did, and what the process cost."""

    feature: str
    run: str
    row: dict[str, Any]
    wall: float
    cpu: float
    peak_mib: float

    def line(self) -> str:
        """The run as a line of a table."""
        counts = (self.row["records"], self.row["encoded"], self.row["unchanged"])
        told = " ".join(f"{n:>9,}" for n in counts)
        return (
            f"{self.feature:<10} {self.run:<10} {told} {self.row['seconds']:>8.1f} "
            f"{self.wall:>8.1f} {self.cpu:>8.1f} {self.peak_mib:>8,.0f}"
        )


def main() -> None:
    """Run the benchmark and print its tables."""
    data = Path(os.environ["VECMILL_TEST_DATA"]).resolve()
    with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as folder:
        root = Path(folder)
        _copy(data, root)
        _say(
            f"{'feature':<10} {'run':<10} {'records':>9} {'encoded':>9} {'unchanged':>9} "
            f"{'seconds':>8} {'process':>8} {'CPU s':>8} {'peak MiB':>8}"
        )
        names = ("ag_news", "cifar10", "fsdd", "adult")
        cold = {name: _run(root, name, "cold") for name in names}
        for name in names:
            _run(root, name, "unchanged")
        _change_one_in_a_hundred(root)
        for name in names:
            _run(root, name, "1 % changed")
        _quality(root)
        _say(f"STS-B dev, Spearman: {_sts(data)}")
        _beside_a_bare_loop(root, cold["ag_news"])


def _copy(data: Path, root: Path) -> None:
    shutil.copy(data / "text/ag_news.csv", root)
    shutil.copy(data / "tabular/adult.csv", root)
    shutil.copytree(data / "image/cifar10", root / "cifar10")
    shutil.copytree(data / "audio/fsdd", root / "fsdd")
    (root / "conf").mkdir()
    (root / "conf/base.toml").write_text(CONF)


def _run(root: Path, feature: str, run: str) -> Measured:
    command = [sys.executable, "-m", "flows.cli", "run", feature, "--direct", "--json"]
    command += ["--conf", str(root / "conf/base.toml")]
    output = root / "answer.json"
    started = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        ],
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"the {run} run of {feature} failed")
    cpu = usage.ru_utime + usage.ru_stime
    row = json.loads(output.read_text())
    measured = Measured(feature, run, row, wall, cpu, usage.ru_maxrss / 1024)
    _say(measured.line())
    return measured


def _change_one_in_a_hundred(root: Path) -> None:
    for name, column in (("ag_news.csv", "body"), ("adult.csv", "fnlwgt")):
        table = pl.read_csv(root / name, infer_schema=False)
        chosen = pl.int_range(pl.len()) % 100 == 50
        other = pl.when(chosen).then(pl.lit("1") + pl.col(column).str.strip_chars())
        table.with_columns(other.otherwise(pl.col(column)).alias(column)).write_csv(root / name)
    for pattern in ("cifar10/*/*/*.jpg", "fsdd/*.wav"):
        files = sorted(root.glob(pattern))
        for file, next_file in zip(files[50::100], files[51::100], strict=False):
            shutil.copy(next_file, file)


def _quality(root: Path) -> None:
    stores = Stores.of(load(root / "conf/base.toml"))
    with query.connect(stores.catalog, stores.vectors) as con:

        def vectors(sql: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
            rows = query.run(con, sql).to_arrow_table()
            flat = rows.column("vector").combine_chunks().flatten().to_numpy()
            return flat.reshape(len(rows), -1), np.array(rows.column("label").to_pylist())

        for name, label in (("ag_news", "label"), ("fsdd", "digit"), ("adult", "income")):
            x, y = vectors(f"SELECT vector, trim({label}) AS label FROM {name} ORDER BY record_id")  # noqa: S608 - our own names
            order = np.random.default_rng(0).permutation(len(x))
            cut = len(x) * 4 // 5
            train, test = order[:cut], order[cut:]
            _say(f"{name}: {_probes(x[train], y[train], x[test], y[test])} (random 80/20)")
        sql = "SELECT vector, label FROM cifar10 WHERE split = '{}' ORDER BY record_id"
        _say(f"cifar10: {_probes(*vectors(sql.format('train')), *vectors(sql.format('test')))}")


def _probes(
    x: NDArray[np.float32],
    y: NDArray[np.str_],
    x_test: NDArray[np.float32],
    y_test: NDArray[np.str_],
) -> str:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # How hard to regularise is chosen on the training part alone.
    strengths = [1e-4, 1e-3, 1e-2, 1e-1]
    classifier = LogisticRegressionCV(
        Cs=strengths,
        cv=3,
        max_iter=2000,
        scoring="accuracy",
        use_legacy_attributes=False,
        l1_ratios=(0.0,),
    )
    linear = make_pipeline(StandardScaler(), classifier)
    knn = KNeighborsClassifier(10, metric="cosine")
    scores = [model.fit(x, y).score(x_test, y_test) for model in (linear, knn)]
    return f"linear probe {scores[0]:.4f}, 10-NN {scores[1]:.4f}"


def _sts(data: Path) -> str:
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer

    from encoders import registry
    from encoders._hub import MINILM, locate

    pairs = pl.read_csv(data / "text/stsb_dev.csv", has_header=False)
    first, second, score = (pairs.to_series(i) for i in (0, 1, 2))
    ours = registry.build("sentence", registry.params_type("sentence")())
    theirs = SentenceTransformer(str(locate(MINILM, None)), device="cpu")

    def correlation(encode: Callable[[list[str]], NDArray[np.float32]]) -> float:
        a, b = (encode(texts.to_list()) for texts in (first, second))
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        return float(spearmanr(cosine, score.to_numpy()).statistic)

    scores = (correlation(ours.encode), correlation(theirs.encode))
    return "ours {:.4f}, sentence-transformers itself {:.4f}".format(*scores)


def _beside_a_bare_loop(root: Path, cold: Measured) -> None:
    """The same texts through ``SentenceTransformer.encode`` alone, in seconds of CPU."""
    from sentence_transformers import SentenceTransformer

    from encoders._hub import MINILM, locate

    texts = pl.read_csv(root / "ag_news.csv").select(pl.col("title") + "\n\n" + pl.col("body"))
    model = SentenceTransformer(str(locate(MINILM, None)), device="cpu")
    started = time.process_time()
    model.encode(texts.to_series().to_list(), show_progress_bar=False)
    bare = time.process_time() - started
    ratio = cold.cpu / bare
    _say(f"ag_news: CPU seconds of the cold process over those of a bare encode: {ratio:.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _say(f"peak memory of this process, bare encode and all: {peak:,.0f} MiB")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark prints
