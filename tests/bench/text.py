"""Every text encoder on the same two tasks, in one table.

``VECMILL_TEST_DATA=... python -m tests.bench text`` (or ``python -m tests.bench.text lsa static``
for some of them) prints: Spearman's correlation of the cosine with people's judgement of 1,500
pairs of sentences (STS benchmark, dev); how often a linear probe tells the class of a news item
that it has not seen (AG News, 4,800 to learn from, 1,200 to tell); and how many news items an
encoder takes a second of CPU, as a multiple of all-MiniLM-L6-v2's in the same process.

Encoders that learn are fitted on all texts at hand, those that are then told as well, but without
their labels: as a feature store's encoder is fitted on the records that it encodes.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from encoders import registry
from encoders._hub import MINILM
from encoders.base import Learner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoders.base import Encoder

YARDSTICK = "MiniLM"
ENTRIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (YARDSTICK, "sentence", {}),
    ("static", "static", {}),
    ("lsa", "lsa", {}),
    ("word2vec", "word2vec", {}),
    ("word2vec, sif", "word2vec", {"pooling": "sif"}),
    ("fasttext", "fasttext", {}),
    ("fasttext, sif", "fasttext", {"pooling": "sif"}),
    ("glove", "glove", {}),
    ("glove, sif", "glove", {"pooling": "sif"}),
    ("nnlm", "nnlm", {}),
    ("nnlm, sif", "nnlm", {"pooling": "sif"}),
    ("elmo", "elmo", {}),
    ("bert, MiniLM's tokens", "bert", {"model": MINILM}),
    ("bert, 4 layers", "bert", {"model": MINILM, "layers": (-1, -2, -3, -4)}),
)
"""What is measured: name, kind, parameters. Kinds that are not there are left out."""

_TOLD, _TIMED = 1200, 500


@dataclass(frozen=True)
class Texts:
    """The texts at hand.

    Attributes:
        news, labels: AG News, and what each item is about.
        first, second, alike: the pairs of STS-B dev, and how alike people found them, 0 to 5.
        titles: of books.
    """

    news: list[str]
    labels: list[str]
    first: list[str]
    second: list[str]
    alike: list[float]
    titles: list[str]

    @classmethod
    def read(cls, data: Path) -> Texts:
        """Read them from the folder of test data."""
        news = pl.read_csv(data / "text" / "ag_news.csv")
        pairs = pl.read_csv(data / "text" / "stsb_dev.csv", has_header=False)
        return cls(
            (news["title"] + "\n\n" + news["body"]).to_list(),
            news["label"].cast(pl.String).to_list(),
            pairs.to_series(0).to_list(),
            pairs.to_series(1).to_list(),
            pairs.to_series(2).to_list(),
            pl.read_csv(data / "text" / "books.csv")["title"].to_list(),
        )

    @property
    def all(self) -> list[str]:
        """What encoders learn from."""
        return [*self.news, *self.first, *self.second, *self.titles]


def main(names: Sequence[str] = ()) -> None:
    """Print the table."""
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        sys.exit("VECMILL_TEST_DATA is not set; expected the folder of the test data")
    texts = Texts.read(Path(folder))
    table = Table("encoder", "dim", "STS-B dev", "AG News", "speed", "fit, CPU s")
    yardstick = pace(ready("sentence", {}, texts)[0], texts)
    for name, kind, params in ENTRIES:
        if kind not in registry.kinds() or (names and name not in names and kind not in names):
            continue
        encoder, seconds = ready(kind, params, texts)
        row = (
            str(encoder.dim),
            f"{sts(encoder, texts):.3f}",
            f"{news(encoder, texts):.3f}",
            f"{pace(encoder, texts) / yardstick:.3g}",
            f"{seconds:.0f}" if isinstance(encoder, Learner) else "",
        )
        sys.stderr.write("\t".join([name, *row]) + "\n")  # the fits take long; the table comes last
        table.add_row(name, *row)
    Console(width=100).print(table)


def ready(kind: str, params: dict[str, Any], texts: Texts) -> tuple[Encoder, float]:
    """An encoder, fitted where it learns, and the seconds of CPU that took."""
    encoder: Any = registry.build(kind, registry.params_type(kind)(**params))
    started = time.process_time()
    if isinstance(encoder, Learner):
        rng = np.random.default_rng(0)
        drawn = rng.permutation(len(texts.all))[: encoder.fit_size]
        encoder.fit([texts.all[row] for row in drawn], rng)
    return encoder, time.process_time() - started


def sts(encoder: Encoder, texts: Texts) -> float:
    """Spearman's correlation of the cosine with what people said."""
    from scipy.stats import spearmanr

    one, two = (unit(encoder.encode(side)) for side in (texts.first, texts.second))
    return float(spearmanr((one * two).sum(axis=1), texts.alike).statistic)


def news(encoder: Encoder, texts: Texts) -> float:
    """The accuracy of a linear probe on items that it has not seen."""
    from sklearn.linear_model import LogisticRegressionCV

    vectors, labels = unit(encoder.encode(texts.news)), np.array(texts.labels)
    order = np.random.default_rng(0).permutation(len(labels))
    told, learned = order[:_TOLD], order[_TOLD:]
    # Centred, and the penalty chosen on what is learned: mean word vectors share one direction.
    rows = vectors - vectors[learned].mean(axis=0)
    probe = LogisticRegressionCV(
        Cs=[1.0, 10.0, 100.0, 1000.0],
        cv=3,
        max_iter=1000,
        scoring="accuracy",
        use_legacy_attributes=False,
        l1_ratios=(0.0,),
    ).fit(rows[learned], labels[learned])
    return float(probe.score(rows[told], labels[told]))


def pace(encoder: Encoder, texts: Texts) -> float:
    """News items a second of CPU."""
    some = texts.news[:_TIMED]
    encoder.encode(some[:8])
    started = time.process_time()
    encoder.encode(some)
    return len(some) / (time.process_time() - started)


def unit(vectors: Any) -> Any:  # noqa: ANN401 - a matrix
    """The rows with L2 norm 1."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


if __name__ == "__main__":
    main(sys.argv[1:])
