"""How well factors tell what users go on to, and how they rate.

``python -m tests.bench recommend`` draws users with tastes and items with fame (see
`tests.encoders.tastes`), holds out the last interaction of each user, fits, folds everybody in, and
prints recall and NDCG at ten among all items that a user has not met: by popularity, by implicit
feedback and by explicit. Of ratings of a known rank it prints the root mean squared error of a
tenth that is held out, beside the noise that was drawn into them, which nothing can fall below.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders.factors import Params, build
from tests.encoders import tastes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from encoders.factors import Factors
    from tests.encoders.tastes import Tastes

    Vectors = NDArray[np.float64]

SIZES = ((500, 400, 12), (500, 400, 30), (1500, 300, 30), (2000, 1000, 40))
SHARES = (0.1, 0.3, 0.7)
USERS, ITEMS, NOISE, RANK = 300, 250, 0.3, 4
SEED = 3


def main() -> int:
    """Print the tables."""
    ranking = Table("users", "items", "interactions", "", "recall@10", "NDCG@10", "fit s", "fold s")
    for users, items, each in SIZES:
        data = tastes.drawn(np.random.default_rng(SEED), users, items, each)
        for row in ranked(data, users, items):
            ranking.add_row(f"{users:,}", f"{items:,}", f"{len(data):,}", *row)
    rating = Table("ratings", "share of pairs", "the mean", f"{RANK} factors", "64", "noise")
    for share in SHARES:
        data = tastes.planted(np.random.default_rng(SEED), USERS, ITEMS, share, NOISE, RANK)
        told = (f"{error:.3f}" for error in errors(data))
        rating.add_row(f"{len(data):,}", f"{share:g}", *told, f"{NOISE:.3f}")
    console = Console(width=110)
    console.print(ranking)
    console.print(
        f"error of ratings held out: {USERS} users, {ITEMS} items, rank {RANK} and biases"
    )
    console.print(rating)
    return 0


def ranked(data: Tastes, users: int, items: int) -> list[tuple[str, ...]]:
    """By each way of ranking its quality, and the seconds that fitting and folding in took."""
    last = data.last()
    seen, wanted = data.taken(~last), data.taken(last)
    found: list[tuple[str, Vectors, float, float]] = [
        ("popularity", tastes.popularity(seen, users, items), 0.0, 0.0)
    ]
    for feedback in ("implicit", "explicit"):
        weight = "rating" if feedback == "explicit" else None
        encoder, fit = fitted(seen, weight, feedback=feedback)
        began = time.perf_counter()
        who, what = placed(encoder, seen, weight, users, items)
        found.append((feedback, who @ what.T, fit, time.perf_counter() - began))
    rows: list[tuple[str, ...]] = []
    for name, scores, fit, fold in found:
        recall, gain = tastes.quality(tastes.ranked(scores, seen), wanted)
        rows.append((name, f"{recall:.3f}", f"{gain:.3f}", f"{fit:.2f}", f"{fold:.2f}"))
    return rows


def errors(data: Tastes) -> list[float]:
    """Of ratings held out: by the mean, by as many factors as there are, and by 64."""
    out = np.random.default_rng(SEED).random(len(data)) < 0.1
    train, held = data.taken(~out), data.taken(out)
    found = [float(np.sqrt(np.mean((held.ratings - train.ratings.mean()) ** 2)))]
    for dim in (RANK, 64):
        encoder, _ = fitted(train, "rating", feedback="explicit", factors=dim)
        who, what = placed(encoder, train, "rating", USERS, ITEMS)
        told = (who[held.users] * what[held.items]).sum(axis=1)
        found.append(float(np.sqrt(np.mean((held.ratings - told) ** 2))))
    return found


def fitted(data: Tastes, weight: str | None, **params: Any) -> tuple[Factors, float]:  # noqa: ANN401 - any of Params
    """An encoder fitted on interactions, and the seconds that took."""
    encoder = build(Params(**params))
    began = time.perf_counter()
    encoder.fit(tastes.records(data.rows(), weight), np.random.default_rng(SEED))
    return encoder, time.perf_counter() - began


def placed(
    encoder: Factors, data: Tastes, weight: str | None, users: int, items: int
) -> tuple[Vectors, Vectors]:
    """The vectors of all users and items by number; zeros of those who met nobody."""
    records = tastes.records(data.rows(), weight)
    vectors = encoder.encode(records)
    found = []
    for side, n in (("user", users), ("item", items)):
        mine = (records["side"] == side).to_numpy()
        rows = np.zeros((n, encoder.dim))
        rows[records["entity"].to_numpy()[mine].astype(int)] = vectors[mine]
        found.append(rows)
    return found[0], found[1]


if __name__ == "__main__":
    sys.exit(main())
