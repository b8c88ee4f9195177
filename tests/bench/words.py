"""How good learned word vectors are, on the texts of VECMILL_TEST_DATA.

``VECMILL_TEST_DATA=... python -m tests.bench words`` fits each kind on news, sentence pairs and
titles of books, and prints: Spearman's correlation with people's judgements of pairs of words
(WordSim-353, SimLex-999; the pairs whose words are both known), with gensim's own vectors of the
same texts and settings beside them; how often the word nearest to a misspelt one is the true one;
and how well a linear probe tells the four classes of news by their vectors, mean and SIF.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from encoders import registry, word2vec
from encoders._words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

KINDS = ("word2vec", "fasttext", "glove")
PAIRS = {"WordSim-353": "EN-WS-353-ALL.txt", "SimLex-999": "EN-SIMLEX-999.txt"}
SEED = 5
TYPOS = 300
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> int:
    """Print the tables."""
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        sys.stderr.write("VECMILL_TEST_DATA is not set; point it at the folder of test data\n")
        return 2
    texts, labels = corpus(Path(data))
    table = Table("vectors", "words", "CPU s", *PAIRS, "typos", "mean", "sif")
    for kind in KINDS:
        encoder, seconds = fitted(kind, texts)
        sif, _ = fitted(kind, texts, pooling="sif")
        known, _ = encoder.vocabulary()
        table.add_row(
            kind,
            f"{len(known):,}",
            f"{seconds:.0f}",
            *(f"{rho:.3f} of {n}" for n, rho in judged(encoder.word, Path(data))),
            f"{corrected(encoder, np.random.default_rng(SEED), TYPOS):.2f}",
            f"{probe(encoder, texts, labels):.3f}",
            f"{probe(sif, texts, labels):.3f}",
        )
    theirs = gensim_vectors(texts)
    table.add_row("gensim's Word2Vec", f"{len(theirs):,}", "",
                  *(f"{rho:.3f} of {n}" for n, rho in judged(theirs.get, Path(data))))  # fmt: skip
    Console(width=110).print(table)
    return 0


def corpus(data: Path) -> tuple[list[str], list[str]]:
    """All English texts at hand, the news first, and the news' labels."""

    def rows(name: str) -> list[dict[str, str]]:
        with (data / "text" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    news = rows("ag_news.csv")
    with (data / "text" / "stsb_dev.csv").open(encoding="utf-8", newline="") as file:
        pairs = [text for row in csv.reader(file) for text in row[:2]]
    titles = [row["title"] for row in rows("books.csv")]
    texts = [f"{row['title']}\n{row['body']}" for row in news]
    return [*texts, *pairs, *titles], [row["label"] for row in news]


def fitted(kind: str, texts: list[str], **changes: object) -> tuple[Any, float]:
    """An encoder fitted on texts, and the CPU seconds that took."""
    encoder: Any = registry.build(kind, registry.params_type(kind)(**changes))
    began = time.process_time()
    encoder.fit(texts, np.random.default_rng(SEED))
    return encoder, time.process_time() - began


def gensim_vectors(texts: list[str]) -> dict[str, Vector]:
    """What gensim's Word2Vec learns by itself, with the settings that ours has by default."""
    from gensim.models import Word2Vec

    settings: dict[str, Any] = word2vec.settings(word2vec.Params(), np.random.default_rng(SEED))
    model = Word2Vec([words(text) for text in texts], epochs=word2vec.Params().epochs, **settings)
    return {word: model.wv[word] for word in model.wv.index_to_key}


def judged(vector: Callable[[str], Vector | None], data: Path) -> list[tuple[int, float]]:
    """For each list of pairs: how many are known, and the correlation with the judgements."""
    found = []
    for name in PAIRS.values():
        lines = (data / "text" / name).read_text("utf-8").splitlines()
        ours: list[float] = []
        people: list[float] = []
        for line in lines:
            first, second, judgement = line.lower().split()[:3]
            a, b = vector(first), vector(second)
            if a is not None and b is not None:
                ours.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
                people.append(float(judgement))
        found.append((len(ours), float(spearmanr(ours, people).statistic)))
    return found


def typo(word: str, rng: np.random.Generator) -> str:
    """The word with one letter doubled, left out, replaced or swapped with the next."""
    at = int(rng.integers(1, len(word) - 1))
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    edits = (
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    return edits[int(rng.integers(len(edits)))]


def corrected(encoder: Any, rng: np.random.Generator, number: int) -> float:  # noqa: ANN401 - Worded
    """The share of misspelt words to whose vector the true word's is the nearest of all."""
    known, vectors = encoder.vocabulary()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    long = [row for row, word in enumerate(known) if len(word) > 6 and word.isalpha()]
    right = tried = 0
    while tried < number:
        row = int(rng.choice(long))
        wrong = typo(known[row], rng)
        if wrong in known:
            continue
        tried += 1
        vector = encoder.word(wrong)
        right += vector is not None and int(np.argmax(units @ vector)) == row
    return right / tried


def probe(encoder: Any, texts: list[str], labels: list[str]) -> float:  # noqa: ANN401 - an Encoder
    """The accuracy of a linear probe on the last fifth of the news."""
    from sklearn.linear_model import LogisticRegression

    vectors = encoder.encode(texts[: len(labels)])
    cut = len(labels) * 4 // 5
    model = LogisticRegression(max_iter=2000, C=10).fit(vectors[:cut], labels[:cut])
    return float(model.score(vectors[cut:], labels[cut:]))


if __name__ == "__main__":
    sys.exit(main())
