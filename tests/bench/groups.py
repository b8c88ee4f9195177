"""How well clusters of news items agree with what people filed them under, by encoder and method.

``VECMILL_TEST_DATA=... python -m tests.bench groups`` prints, for 2,000 items of AG News (4
sections): the number of clusters; their purity (the share of items that are of their cluster's most
frequent section); normalised mutual information, which a large number of clusters does not raise by
itself; the share that is noise; and the accuracy of both probes for the section.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.metrics import normalized_mutual_info_score

from encoders import registry
from encoders.base import Learner
from flows.analysis import clustering, probing
from flows.matrices import comparable

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENTRIES: tuple[tuple[str, dict[str, Any]], ...] = (("sentence", {}), ("static", {}), ("lsa", {}))
_ITEMS, _SEED = 2_000, 0


def purity(labels: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """The share of rows that are of their cluster's most frequent label; noise is one cluster."""
    most = [np.unique(labels[found == c], return_counts=True)[1].max() for c in np.unique(found)]
    return float(sum(most) / len(labels))


def main() -> None:
    """Print the table."""
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        sys.exit("VECMILL_TEST_DATA is not set: no news here")
    news = pl.read_csv(Path(folder) / "text" / "ag_news.csv").head(_ITEMS)
    texts = (news["title"] + "\n" + news["body"]).to_list()
    _, labels = np.unique(news["label"].to_numpy(), return_inverse=True)
    table = Table("encoder", "method", "clusters", "purity", "NMI", "noise", "linear", "knn")
    for kind, keys in ENTRIES:
        encoder = registry.build(kind, registry.params_type(kind)(**keys))
        if isinstance(encoder, Learner):
            encoder.fit(texts, np.random.default_rng(_SEED))
        vectors = np.concatenate([encoder.encode(texts[i : i + 64]) for i in range(0, _ITEMS, 64)])
        rows = comparable(vectors, "cosine")
        parts = probing.folds(labels, None, 5, _SEED, numeric=False)
        wide = vectors.astype(np.float64)
        scores = (
            probing.linear(wide, labels, None, parts, numeric=False),
            probing.knn(wide, labels, parts, "cosine", numeric=False),
        )
        for method, found in _grouped(rows):
            table.add_row(
                kind,
                method,
                str(len(set(found.tolist()) - {-1})),
                f"{purity(labels, found):.3f}",
                f"{normalized_mutual_info_score(labels, found):.3f}",
                f"{np.mean(found < 0):.0%}",
                *(f"{score.mean:.3f} ± {score.deviation:.3f}" for score in scores),
            )
    Console(width=110).print(table)


def _grouped(rows: NDArray[np.float32]) -> list[tuple[str, NDArray[np.int64]]]:
    rng = np.random.default_rng(_SEED)
    chosen, _ = clustering.choose_k(rows, rng)
    found = []
    for name, k in (("kmeans, k = 4", 4), ("kmeans, by silhouette", chosen)):
        model = clustering.kmeans(rows, [rows], k, rng, spherical=True)
        found.append((name, model.assign(rows)))
    return [*found, ("hdbscan", clustering.hdbscan(rows, 20, spherical=True)[0])]


if __name__ == "__main__":
    main()
