"""Users with tastes and items with fame, drawn so that what can be learned of them is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.intp]
    Mask = NDArray[np.bool_]
    Wide = NDArray[np.float64]

TOP = 10


@dataclass(frozen=True)
class Tastes:
    """Interactions in the order in which they came; each pair once.

    Attributes:
        users: ``(n,)``, numbers from 0.
        items: ``(n,)``, numbers from 0.
        ratings: ``(n,)``.
    """

    users: Ids
    items: Ids
    ratings: Wide

    def __len__(self) -> int:
        return len(self.users)

    def taken(self, which: Mask) -> Tastes:
        """Some of them."""
        return Tastes(self.users[which], self.items[which], self.ratings[which])

    def last(self) -> Mask:
        """Which are the last of their user."""
        _, place = np.unique(self.users[::-1], return_index=True)
        found = np.zeros(len(self), bool)
        found[len(self) - 1 - place] = True
        return found

    def rows(self) -> pl.DataFrame:
        """Columns user, item (text) and rating, as a file would hold them."""
        columns = {"user": self.users.astype(str), "item": self.items.astype(str)}
        named = {name: pl.Series(ids.tolist(), dtype=pl.String) for name, ids in columns.items()}
        return pl.DataFrame({**named, "rating": self.ratings})


def drawn(
    rng: np.random.Generator,
    users: int = 500,
    items: int = 400,
    each: float = 30,
    noise: float = 0.5,
) -> Tastes:
    """Interactions of users who like two or three of twelve groups of items.

    Items have fame by Zipf's law, and users a number of interactions with a long tail. Nine of ten
    interactions are with groups that are liked. A rating is 3, what the item deserves (spread 0.5),
    what the user gives (0.3), one more for a group that is liked, and noise.
    """
    groups = 12
    fame = 1 / np.arange(1, items + 1) ** 0.8
    group = rng.integers(0, groups, items)
    likes = rng.random((users, groups)).argsort(axis=1) < rng.integers(2, 4, (users, 1))
    rows = []
    for user, liked in enumerate(likes[:, group]):
        inside, outside = np.where(liked, fame, 0), np.where(liked, 0, fame)
        shares = 0.9 * inside / inside.sum() + 0.1 * outside / outside.sum()
        number = min(items // 3, 5 + int(rng.exponential(each - 5)))
        rows += [(user, item) for item in rng.choice(items, number, replace=False, p=shares)]
    who, what = np.array(rows)[rng.permutation(len(rows))].T
    deserved, given = rng.normal(0, 0.5, items), rng.normal(0, 0.3, users)
    exact = 3 + deserved[what] + given[who] + likes[who, group[what]]
    return Tastes(who, what, exact + rng.normal(0, noise, len(who)))


def planted(
    rng: np.random.Generator, users: int, items: int, share: float, noise: float, dim: int = 4
) -> Tastes:
    """Ratings of some of all pairs: 3.5, biases, a product of so many factors, and noise."""
    who, what = np.nonzero(rng.random((users, items)) < share)
    likes, has = rng.normal(0, 1, (users, dim)), rng.normal(0, 0.35, (items, dim))
    biases = rng.normal(0, 0.4, users)[who] + rng.normal(0, 0.6, items)[what]
    exact = 3.5 + biases + (likes[who] * has[what]).sum(axis=1)
    return Tastes(who, what, exact + rng.normal(0, noise, len(who)))


def records(rows: pl.DataFrame, weight: str | None = None) -> pl.DataFrame:
    """Interactions as a source gives them: a batch of all users and all items."""
    weighed = rows.with_columns(w=pl.lit(1.0) if weight is None else pl.col(weight))
    sides = []
    for side, other in (("user", "item"), ("item", "user")):
        grouped = weighed.sort(side, other).group_by(side, maintain_order=True)
        met = grouped.agg(others=other, weights="w")
        sides.append(met.select(pl.lit(side).alias("side"), pl.col(side).alias("entity"),
                                "others", "weights"))  # fmt: skip
    return pl.concat(sides)


def ranked(scores: Wide, seen: Tastes) -> Ids:
    """The ten best items of each user, ``(users, 10)``, without those already seen."""
    left = scores.copy()
    left[seen.users, seen.items] = -np.inf
    return np.argsort(-left, axis=1, kind="stable")[:, :TOP]


def quality(best: Ids, wanted: Tastes) -> tuple[float, float]:
    """Recall and NDCG at ten, of one item that each user is to be told."""
    hits = best[wanted.users] == wanted.items[:, None]
    gains = hits / np.log2(np.arange(2, TOP + 2))
    return float(hits.any(axis=1).mean()), float(gains.sum(axis=1).mean())


def popularity(seen: Tastes, users: int, items: int) -> Wide:
    """Each user's scores by how many have met an item, ``(users, items)``."""
    return np.tile(np.bincount(seen.items, minlength=items).astype(float), (users, 1))
