"""Vectors in two dimensions: pure functions over NumPy matrices.

t-SNE (van der Maaten & Hinton 2008, "Visualizing Data using t-SNE") as openTSNE has it (Poličar,
Stražar & Zupan 2019), UMAP (McInnes, Healy & Melville 2018) and principal components. The first two
begin from the principal components, which keeps what is far apart apart (Kobak & Linderman 2021,
"Initialization is critical for preserving global data structure").

A picture that is there takes in new rows without any of the old ones moving: each is placed by
those that were laid out, as if it were the only new one.
"""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]

Method: TypeAlias = Literal["tsne", "umap", "pca"]

METHODS: tuple[Method, ...] = ("tsne", "umap", "pca")

NAMES: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}

LEAST = 10
"""Rows below which there is nothing to lay out, or to place by."""

K = 10
"""Neighbours that trustworthiness asks for."""

_COMPONENTS, _PERPLEXITY, _NEIGHBOURS = 50, 30, 15
_SMALL = 1e-4
"""The spread that t-SNE begins with, so that it begins by what is near (as openTSNE has it)."""

_NEAR, _PLACED_PERPLEXITY = 25, 5
_MANY, _BLOCK = 1_000, 2**25


def prepared(vectors: NDArray[Any], metric: str) -> Matrix:
    """Vectors so that Euclidean distance says how unlike two are, as their metric has it.

    Args:
        vectors: ``(n, d)``, finite.
        metric: ``cosine`` and ``dot`` give rows of norm 1: an inner product is no distance, for a
            long vector may be nearer to all others than to itself. ``l2`` leaves them as they are.
    """
    rows: Matrix = np.array(vectors, np.float32, order="C")
    if metric != "l2":
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1)
    return rows


def lay_out(rows: Matrix, method: Method, seed: int) -> Matrix:
    """A place for each row, ``(n, 2)``; the same for the same rows and seed.

    Args:
        rows: ``(n, d)``, as `prepared` gives them.
        method: how.
        seed: of all chance.

    Raises:
        ValueError: if there are fewer than `LEAST` rows.
    """
    if len(rows) < LEAST:
        raise ValueError(f"{LEAST} rows or more are needed, got {len(rows)}")
    with _quiet():
        if method == "pca":
            return _principal(rows, 2, seed)
        return _tsne(rows, seed) if method == "tsne" else _umap(rows, seed)


def place(rows: Matrix, laid: Matrix, places: Matrix, method: Method, seed: int) -> Matrix:
    """Places for rows among others that have theirs, and keep them: ``(m, 2)``.

    Args:
        rows: ``(m, d)``, as `prepared` gives them.
        laid: ``(n, d)``, the rows that were laid out, likewise.
        places: ``(n, 2)``, where they lie.
        method: how they were laid out.
        seed: of all chance.

    Raises:
        ValueError: if there are fewer than `LEAST` rows to place by.
    """
    if len(laid) < LEAST:
        raise ValueError(f"{LEAST} rows or more are needed to place others by, got {len(laid)}")
    if not len(rows):
        return np.zeros((0, 2), np.float32)
    with _quiet():
        if method == "pca":
            return _onto(rows, laid, places)
        how = _among_tsne if method == "tsne" else _among_umap
        return how(rows, laid, places, seed)


def trustworthiness(
    rows: Matrix, places: Matrix, rng: np.random.Generator, queries: int = 1000, k: int = K
) -> float | None:
    """Whether neighbours in the picture are neighbours, from 0 to 1 (Venna & Kaski 2001).

    Each of a row's k nearest in the picture that is not one of its k nearest in truth counts by how
    far behind them it comes. Around 0.5 is what a picture drawn by lot has.

    Args:
        rows: ``(n, d)``, as `prepared` gives them.
        places: ``(n, 2)``.
        rng: which rows are asked.
        queries: how many rows are asked, at most; each is held against all.
        k: how many neighbours; fewer where there are not twice as many rows.

    Returns:
        None where there are fewer than 4 rows.
    """
    n = len(rows)
    k = min(k, (n - 1) // 2)
    if k < 1:
        return None
    asked = np.sort(rng.choice(n, min(n, queries), replace=False))
    penalty = 0
    for block in np.array_split(asked, max(1, -(-len(asked) * n // _BLOCK))):
        inside = np.arange(len(block))[:, None]
        in_picture = _squared(places, block)
        shown = np.argpartition(in_picture, k - 1, axis=1)[:, :k]
        in_truth = _squared(rows, block)
        found = np.sort(in_truth[inside, shown], axis=1)
        for distances, row in zip(found, in_truth, strict=True):
            ranks = np.searchsorted(np.sort(row), distances, side="left") + 1
            penalty += int(np.maximum(ranks - k, 0).sum())
    return 1 - 2 * penalty / (len(asked) * k * (2 * n - 3 * k - 1))


def _squared(points: Matrix, block: NDArray[np.int64]) -> Matrix:
    """Squared distances of some rows to all, ``(b, n)``; infinite to themselves."""
    norms = np.einsum("ij,ij->i", points, points)
    found: Matrix = norms[block, None] + norms[None] - 2 * (points[block] @ points.T)
    found[np.arange(len(block)), block] = np.inf
    return found


# --- principal components -------------------------------------------------------------------------


def _principal(rows: Matrix, count: int, seed: int, onto: Matrix | None = None) -> Matrix:
    """The main components of rows, or of others along the same directions; at most ``count``."""
    from sklearn.decomposition import PCA

    model = PCA(min(count, *rows.shape), random_state=seed).fit(rows)
    found = model.transform(rows if onto is None else onto)
    # A space of one dimension has one component: the picture is a line.
    missing = max(0, 2 - found.shape[1])
    wide: Matrix = np.pad(found, ((0, 0), (0, missing))).astype(np.float32)
    return wide


def _onto(rows: Matrix, laid: Matrix, places: Matrix) -> Matrix:
    """Where the directions lead that took rows to their places: least squares finds these again.

    So they need not be kept, and what is erased is not kept in them.
    """
    middle, centre = laid.mean(axis=0, dtype=np.float64), places.mean(axis=0, dtype=np.float64)
    directions, *_ = np.linalg.lstsq(laid - middle, places - centre, rcond=1e-6)
    found: Matrix = ((rows - middle) @ directions + centre).astype(np.float32)
    return found


def _start(rows: Matrix, seed: int) -> Matrix:
    """Where t-SNE and UMAP begin: the main components, shaken a little, as rows may be equal."""
    found = _principal(rows, 2, seed)
    size = float(found[:, 0].std()) or 1.0
    rng = np.random.default_rng(seed)
    shaken: Matrix = (found / size + rng.normal(0, 0.01, found.shape)).astype(np.float32)
    return shaken


# --- t-SNE ----------------------------------------------------------------------------------------


def _tsne(rows: Matrix, seed: int) -> Matrix:
    from openTSNE import TSNE

    fewer = _principal(rows, _COMPONENTS, seed)
    model = TSNE(
        perplexity=_perplexity(len(rows)),
        initialization=_SMALL * _start(fewer, seed),
        neighbors="exact",
        random_state=seed,
        n_jobs=_cores(len(rows)),
    )
    return np.array(model.fit(fewer), np.float32)


def _among_tsne(rows: Matrix, laid: Matrix, places: Matrix, seed: int) -> Matrix:
    """As openTSNE's ``transform`` does, from what makes up an embedding that is no more there."""
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    cores = _cores(len(laid))
    affinities = PerplexityBasedNN(
        _principal(laid, _COMPONENTS, seed), _perplexity(len(laid)), method="exact", n_jobs=cores
    )
    # Of its two ways to repel, interpolation would move the old points to the middle of its grid.
    there = TSNEEmbedding(places, affinities, negative_gradient_method="bh", n_jobs=cores)
    found = there.prepare_partial(
        _principal(laid, _COMPONENTS, seed, rows),
        initialization="median",
        k=min(_NEAR, 3 * _placed_perplexity(len(laid))),
        perplexity=_placed_perplexity(len(laid)),
    )
    found.optimize(
        n_iter=250, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25,
        inplace=True,
    )  # fmt: skip
    return np.array(found, np.float32)


def _perplexity(n: int) -> float:
    """So that each row has three times as many neighbours."""
    return min(float(_PERPLEXITY), (n - 1) / 3)


def _placed_perplexity(n: int) -> int:
    return min(_PLACED_PERPLEXITY, (n - 1) // 3)


# --- UMAP -----------------------------------------------------------------------------------------


def _umap(rows: Matrix, seed: int) -> Matrix:
    from umap import UMAP

    count = min(_NEIGHBOURS, len(rows) - 1)
    model = UMAP(n_neighbors=count, init=_start(rows, seed), random_state=seed)
    return np.array(model.fit_transform(rows), np.float32)


def _among_umap(rows: Matrix, laid: Matrix, places: Matrix, seed: int) -> Matrix:
    """As UMAP's ``transform`` does, after a fit that moves nothing and is given the old places."""
    from umap import UMAP

    count = min(_NEIGHBOURS, len(laid) - 1)
    model = UMAP(n_neighbors=count, init=places, n_epochs=0, random_state=seed).fit(laid)
    model.embedding_, model.n_epochs = places.copy(), None
    return np.array(model.transform(rows), np.float32)


def _cores(n: int) -> int:
    """Threads for so many rows: few rows are done before two threads have met."""
    if n < _MANY:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Libraries warn of what is meant, such as of one thread for the sake of one outcome."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
