"""How well outliers are told, and how often wrongly, on real vectors.

``VECMILL_TEST_DATA=... python -m tests.bench.outliers [--cache DIR] [--json FILE]`` prints the time
and peak memory by the number of rows; the share of runs without outliers that raise an alarm; and
what is found. For that it draws a reference of 1,000 records of some classes and 200 current ones,
of which a part is of a class that the reference never saw: news of one topic among the others
(MiniLM), photographs of one kind among the others (k-means patch features of CIFAR-10), people of
the rarer income group among the others (``tabular`` of adult), book titles among news, and what is
broken: news whose letters are in disorder, and photographs of noise. For each detector alone and
for the default ensemble it prints the AUROC of the score, the share of planted records that are
named at a false-discovery rate of 0.1, and the share of named ones that were not planted.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from encoders import base as encoders
from encoders import registry
from flows.monitors import outliers
from flows.monitors._detectors import DETECTORS, Detector, scores
from flows.monitors.base import Sample
from tests.bench import drift_data
from tests.bench._rows import Rows, add_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

ALPHA, RUNS, NULL_RUNS = 0.1, 10, 200
REFERENCE, CURRENT, PLANTED = 1000, 200, (0.02, 0.10)
SIZES = (1_000, 10_000, 100_000)
ENSEMBLE = outliers.Params().detectors


def main(words: Sequence[str] = ()) -> int:
    """Print the tables; 1 if alarms without outliers are more than alpha allows."""
    parser = argparse.ArgumentParser(prog="outliers")
    add_options(parser)
    asked = parser.parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    rows = costs(asked.json)
    cases = planted(data, asked.cache)
    rows = rows.then(f"no outliers, alpha {ALPHA}, {NULL_RUNS} draws", {
        "data": 30, "n = m": 5, "alarms": 6, "at most": 7})  # fmt: skip
    sound = null_rates(rows, {name: inside for name, (inside, _) in cases.items()})
    rows = rows.then(f"planted outliers, FDR {ALPHA}, {RUNS} draws", {
        "data": 30, "detector": 22, "AUROC": 5, "named, 2 %": 10, "named, 10 %": 11,
        "named wrongly": 13})  # fmt: skip
    for name, (inside, outside) in cases.items():
        for detectors in (*((one,) for one in DETECTORS), ENSEMBLE):
            auc = np.mean([auroc(inside, outside, detectors, seed) for seed in range(RUNS)])
            few, many = (found(inside, outside, detectors, share) for share in PLANTED)
            rows.add({"data": name, "detector": ", ".join(detectors), "AUROC": f"{auc:.3f}",
                      "named, 2 %": f"{few[0]:.2f}", "named, 10 %": f"{many[0]:.2f}",
                      "named wrongly": f"{many[1]:.3f}"})  # fmt: skip
    return 0 if sound else 1


def planted(data: Path, cache: Path | None) -> dict[str, tuple[Vectors, Vectors]]:
    """Vectors that belong, and vectors that do not, by data set."""
    with (data / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        news = list(csv.DictReader(file))[:2600]
    with (data / "text" / "books.csv").open(encoding="utf-8", newline="") as file:
        books = [row["title"] for row in csv.DictReader(file)][:400]
    vectors = drift_data.encode_texts([row["title"] for row in news], cache)
    titles = drift_data.encode_texts(books, cache)
    letters = drift_data.encode_texts([disordered(book) for book in books], cache)
    labels = np.array([row["label"] for row in news])
    rare = labels == labels[0]
    images, kinds, noise = photographs(data)
    odd = kinds == kinds[-1]
    rows, rich = people(data)
    return {
        "AG News, a fourth topic": (vectors[~rare], vectors[rare]),
        "AG News, book titles": (vectors, titles),
        "AG News, letters in disorder": (vectors, letters),
        "CIFAR-10, a tenth class": (images[~odd], images[odd]),
        "CIFAR-10, noise": (images, noise),
        "adult, the richer": (rows[~rich], rows[rich]),
    }


def disordered(text: str) -> str:
    """The same letters in another order."""
    return "".join(np.random.default_rng(len(text)).permutation(list(text)).tolist())


def photographs(data: Path) -> tuple[Vectors, NDArray[np.str_], Vectors]:
    """K-means patch features of 2,000 photographs, their classes, and the features of noise."""
    from PIL import Image

    files = sorted((data / "image" / "cifar10" / "train").glob("*/*.jpg"))
    images = [Image.open(file).convert("RGB") for file in files]
    params = registry.params_type("vision")(centroids=100, normalize=True)
    encoder = registry.build("vision", params)
    assert isinstance(encoder, encoders.Learner)
    encoder.fit(images[::4], np.random.default_rng(0))
    pixels = np.random.default_rng(1).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    noise = encoder.encode([Image.fromarray(one) for one in pixels])
    return encoder.encode(images), np.array([file.parent.name for file in files]), noise


def people(data: Path) -> tuple[Vectors, NDArray[np.bool_]]:
    """``tabular`` vectors of 4,000 people, and whether they earn more than 50,000 dollars."""
    import polars as pl

    frame = pl.read_csv(data / "tabular" / "adult.csv", null_values="?").head(4000)
    income = frame.columns[-1]
    encoder = registry.build("tabular", registry.params_type("tabular")())
    assert isinstance(encoder, encoders.Learner)
    encoder.fit(frame.drop(income), np.random.default_rng(0))
    return encoder.encode(frame.drop(income)), frame[income].str.contains(">").to_numpy()


def draw(
    inside: Vectors, outside: Vectors, share: float, seed: int
) -> tuple[Sample, Sample, NDArray[np.bool_]]:
    """A reference, a current sample, and which rows of that are planted."""
    rng = np.random.default_rng(seed)
    many = round(share * CURRENT)
    size = min(REFERENCE, len(inside) - CURRENT)
    rows = rng.permutation(len(inside))[: size + CURRENT - many]
    strange = rng.choice(len(outside), many, replace=False)
    current = np.concatenate([outside[strange], inside[rows[size:]]])
    return named(inside[rows[:size]], "r"), named(current, "c"), np.arange(CURRENT) < many


def named(vectors: Vectors, name: str) -> Sample:
    """A sample in which each row is a content of its own."""
    ids = [f"{name}{row}" for row in range(len(vectors))]
    return Sample(vectors, ids, ids)


def auroc(inside: Vectors, outside: Vectors, detectors: tuple[Detector, ...], seed: int) -> float:
    """How well the score of some detectors orders planted records before the others."""
    from sklearn.metrics import roc_auc_score

    reference, current, strange = draw(inside, outside, PLANTED[1], seed)
    half = len(reference) // 2
    rows = np.concatenate([reference.vectors[half:], current.vectors])
    rng = np.random.default_rng(seed)
    each = [scores(one, reference.vectors[:half], rows, 20, rng) for one in detectors]
    return float(roc_auc_score(strange, outliers.added(each)[-len(current) :]))


def found(
    inside: Vectors, outside: Vectors, detectors: tuple[Detector, ...], share: float
) -> tuple[float, float]:
    """The share of planted records that are named, and of named ones that were not planted."""
    power, wrong = [], []
    params = outliers.Params(detectors=detectors, alpha=ALPHA, max_ids=CURRENT)
    for seed in range(RUNS):
        reference, current, strange = draw(inside, outside, share, seed)
        finding = outliers.compare(reference, current, np.random.default_rng(seed), params)
        hits = sum(strange[int(one[1:])] for one in finding.record_ids)
        power.append(hits / strange.sum())
        wrong.append(1 - hits / len(finding.record_ids) if finding.record_ids else 0.0)
    return float(np.mean(power)), float(np.mean(wrong))


def null_rates(rows: Rows, data: dict[str, Vectors]) -> bool:
    """The share of runs without outliers that raise an alarm, which alpha bounds."""
    from scipy.stats import binom

    sound = True
    for name, vectors in data.items():
        for n in (50, 500):
            alarms = 0
            for seed in range(NULL_RUNS):
                drawn = np.random.default_rng(seed).permutation(len(vectors))[: 2 * n]
                pair = named(vectors[drawn[:n]], "r"), named(vectors[drawn[n:]], "c")
                params, rng = outliers.Params(alpha=ALPHA), np.random.default_rng(seed)
                alarms += outliers.compare(*pair, rng, params).verdict == "alarm"
            most = int(binom.ppf(0.999, NULL_RUNS, ALPHA))
            sound &= alarms <= most
            rows.add({"data": name, "n = m": f"{n}", "alarms": f"{alarms / NULL_RUNS:.3f}",
                      "at most": f"{most / NULL_RUNS:.3f}"})  # fmt: skip
    return sound


def costs(path: Path | None) -> Rows:
    """Time and peak memory beside the rows themselves, by the number of rows."""
    rows = Rows("cost, 384 dimensions, as many current rows as of the reference", {
        "rows a side": 11, "CPU s": 6, "peak MB": 7}, path)  # fmt: skip
    for n in (100, *SIZES):  # the first is there to pay for the imports
        rng = np.random.default_rng(0)
        pair = [named(rng.standard_normal((n, 384), dtype=np.float32), s) for s in "rc"]
        begun = time.process_time()
        outliers.compare(pair[0], pair[1], np.random.default_rng(0), outliers.Params())
        took = time.process_time() - begun
        tracemalloc.start()
        outliers.compare(pair[0], pair[1], np.random.default_rng(0), outliers.Params())
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        if n in SIZES:
            rows.add({"rows a side": f"{n:,}", "CPU s": f"{took:.1f}", "peak MB": f"{peak:.0f}"})
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
