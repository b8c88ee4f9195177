"""The real vectors that the benchmarks of drift draw from; for a benchmark prints how many.

News are encoded with MiniLM, and photographs are told by features of small patches that k-means
learned (`encoders.vision`, kind of backbone ``patches``).
"""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from encoders import _patches, registry
from flows.monitors.base import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Labels = NDArray[np.str_]
    Rows = NDArray[np.intp]

_CENTROIDS = 100
_DIM = 128


def data_folder() -> Path | None:
    """Where the data sets are; None, and a word of it, where nothing says so."""
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        sys.stderr.write("VECMILL_TEST_DATA is not set; point it at the folder of test data\n")
        return None
    return Path(data)


def read_news(data: Path, rows: int) -> tuple[list[str], Labels]:
    """The first news and their labels."""
    with (data / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        news = list(csv.DictReader(file))[:rows]
    return [f"{row['title']}\n{row['body']}" for row in news], np.array([r["label"] for r in news])


def encode_texts(texts: Sequence[str], cache: Path | None = None) -> Vectors:
    """MiniLM vectors, ``(n, 384)``."""

    def encode() -> Vectors:
        minilm = registry.build("sentence", registry.params_type("sentence")())
        return minilm.encode(list(texts))

    return kept(cache, "\0".join(texts).encode(), encode)


def kept(cache: Path | None, raw: bytes, encode: Callable[[], Vectors]) -> Vectors:
    """The vectors of these contents from a folder, encoded and put there where it lacks them.

    The folder knows contents and no encoders, so it is good for as long as those stay.
    """
    if cache is None:
        return encode()
    path = cache / f"{hashlib.sha256(raw).hexdigest()[:32]}.npy"
    if path.exists():
        vectors: Vectors = np.load(path)
        return vectors
    vectors = encode()
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def encode_news(data: Path, rows: int, cache: Path | None = None) -> tuple[Vectors, Labels]:
    """MiniLM vectors of the first news, ``(rows, 384)``, and their labels, ``(rows,)``."""
    texts, labels = read_news(data, rows)
    return encode_texts(texts, cache), labels


def read_photographs(data: Path) -> tuple[NDArray[np.uint8], Labels]:
    """All 2,500 photographs of CIFAR-10 here, ``(n, 32, 32, 3)``, shuffled, and their classes."""
    from PIL import Image

    paths = sorted((data / "image" / "cifar10").glob("*/*/*.jpg"))
    order = np.random.default_rng(0).permutation(len(paths)).tolist()
    images = [np.asarray(Image.open(paths[at]).convert("RGB")) for at in order]
    return np.stack(images), np.array([paths[at].parent.name for at in order])


class Photographs:
    """All photographs, and an encoder that learned from 1,000 of them once it is needed.

    Attributes:
        images: ``(n, 32, 32, 3)``.
        labels: their classes.
    """

    def __init__(self, data: Path, cache: Path | None = None) -> None:
        self.images, self.labels = read_photographs(data)
        self._cache = cache
        self._patches: Patches | None = None

    def encode(self, images: NDArray[np.uint8]) -> Vectors:
        """``(n, 128)`` float32."""

        def encode() -> Vectors:
            self._patches = self._patches or Patches(self.images[:1000])
            return self._patches.encode(images)

        return kept(self._cache, images.tobytes(), encode)


class Patches:
    """An encoder of photographs, learned from some of them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        rng = np.random.default_rng(0)
        self._book = _patches.Codebook.learn(images, _CENTROIDS, rng, "cpu")
        raw = self._book.encode(images).numpy()
        self._mean = raw.mean(axis=0)
        # what the encoder is used with: the leading components
        self._axes = np.linalg.svd(raw - self._mean, full_matrices=False)[2][:_DIM].T

    def encode(self, images: NDArray[np.uint8]) -> Vectors:
        """``(n, 128)`` float32."""
        along: Vectors = (self._book.encode(images).numpy() - self._mean) @ self._axes
        return along.astype(np.float32)


def sample(vectors: Vectors, rows: Rows) -> Sample:
    """These rows of the vectors; the same row is the same content."""
    return Sample(vectors[rows], [f"{n}" for n in range(len(rows))], [f"{row}" for row in rows])


def null_interval(runs: int, rate: float) -> tuple[float, float]:
    """Where 999 of 1,000 shares of so many runs lie if the true one is ``rate``."""
    from scipy.stats import binom

    low, high = binom.interval(0.999, runs, rate)
    return low / runs, high / runs


def main() -> int:
    """Print how many vectors there are to draw from."""
    data = data_folder()
    if data is None:
        return 2
    sys.stdout.write(
        f"{len(read_news(data, 10**6)[0]):,} news, {len(read_photographs(data)[0]):,} photographs\n"
    )
    return 0
