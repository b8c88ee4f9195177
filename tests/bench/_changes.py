"""Changes planted into real vectors, each in so many strengths that it makes a curve.

The strengths are chosen so that exact MMD sees most of them at n = 500 sometimes, not always:
where every test sees all or nothing, tests cannot be told apart. At another n those that move the
mean are scaled by the root of 500 / n, which leaves about the same power.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flows.demo import raw as demo_raw
from tests.bench import drift_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.bench.drift_data import Labels, Vectors

    Rows: TypeAlias = NDArray[np.intp]
    Change: TypeAlias = Callable[[Rows, Rows, np.random.Generator], Vectors]

NEWS = 6000
CHOSEN_AT = 500

ONE_CLASS = (0.1, 0.15, 0.2, 0.25)
FOR_ANOTHER = (0.3, 0.4, 0.5, 0.6)
MISTYPED = (0.1, 0.2, 0.3, 0.4)
CODE = (0.02, 0.04, 0.06, 0.08)
NOISE = (0.2, 0.25, 0.3, 0.35)
PICTURES_OF_ONE = (0.05, 0.1, 0.15, 0.2)
OUT_OF_FOCUS = (0.04, 0.05, 0.06, 0.08)
BLUR = (0.35, 0.36, 0.37, 0.38)
GRAIN = (0.6, 0.8, 1.0, 1.2)


@dataclass(frozen=True)
class Curve:
    """A change in several strengths.

    Attributes:
        name: what is changed.
        vectors: ``(n, dim)`` that samples are drawn from.
        most: rows a side that leave enough rows over for the strongest change.
        strengths: at 500 rows a side.
        told: a strength in words.
        make: the change of a strength. It is given the current rows, the rows that are in neither
            sample, and chance, and makes the current vectors.
        shrinks: the power of 500 / n by which strengths are scaled; 0 for not at all.
    """

    name: str
    vectors: Vectors
    most: int
    strengths: tuple[float, ...]
    told: str
    make: Callable[[float], Change]
    shrinks: float = 0.5

    def at(self, n: int, which: Iterable[int] = range(4)) -> dict[str, Change]:
        """The changes for n rows a side, by their strength in words."""
        scaled = [self.strengths[one] * (CHOSEN_AT / n) ** self.shrinks for one in which]
        return {self.told.format(strength): self.make(strength) for strength in scaled}


def curves(data: Path, cache: Path | None) -> list[Curve]:
    """All curves."""
    return news(data, cache) + photographs(data, cache)


def news(data: Path, cache: Path | None) -> list[Curve]:
    """Changes of news: of what they are about, of their letters, of their vectors."""
    texts, labels = drift_data.read_news(data, NEWS)
    vectors = drift_data.encode_texts(texts, cache)
    rng = np.random.default_rng(0)
    mistyped = drift_data.encode_texts([typos(text, rng) for text in texts], cache)
    files = [f"{one['title']}\n{one['body']}"[:300] for one in demo_raw.code()]
    code = drift_data.encode_texts(files, cache)
    two = np.unique(labels)[:2]

    def curve(name: str, strengths: tuple[float, ...], told: str,
              make: Callable[[float], Change], shrinks: float = 0.5) -> Curve:  # fmt: skip
        return Curve(f"news, {name}", vectors, 2000, strengths, told, make, shrinks)

    return [
        curve("one class more often", ONE_CLASS, "{:.1%} replaced",
              lambda share: more_of(vectors, labels == two[0], share)),
        curve("one class for another", FOR_ANOTHER, "{:.0%} of one",
              lambda share: swapped(vectors, labels, two, share)),
        curve("typing errors", MISTYPED, "in {:.0%}",
              lambda share: partly(vectors, mistyped, share)),
        curve("program code among them", CODE, "{:.0%}",
              lambda share: mixed_in(vectors, code, share)),
        # noise moves no mean but the spread, by its square
        curve("noise", NOISE, "{:.2f} sd", lambda share: noisy(vectors, share), 0.25),
    ]  # fmt: skip


def photographs(data: Path, cache: Path | None) -> list[Curve]:
    """Changes of photographs: of what they show, of their sharpness, of their grain."""
    from scipy.ndimage import gaussian_filter

    given = drift_data.Photographs(data, cache)
    images, one = given.images, given.labels == np.unique(given.labels)[0]
    vectors = given.encode(images)
    seen: dict[str, Vectors] = {}

    def blurred(pixels: float) -> Vectors:
        return given.encode(gaussian_filter(images, sigma=(0, pixels, pixels, 0)))

    def out_of_focus(share: float) -> Change:
        if not seen:
            seen["blurred"] = blurred(1.0)
        return partly(vectors, seen["blurred"], share)

    def grained(levels: float) -> Change:
        pixels = images + levels * np.random.default_rng(0).standard_normal(images.shape)
        return plain(given.encode(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))

    def curve(name: str, strengths: tuple[float, ...], told: str,
              make: Callable[[float], Change], shrinks: float = 0.5) -> Curve:  # fmt: skip
        return Curve(f"photographs, {name}", vectors, 500, strengths, told, make, shrinks)

    return [
        curve("one class more often", PICTURES_OF_ONE, "{:.0%} replaced",
              lambda share: more_of(vectors, one, share)),
        curve("1 px out of focus", OUT_OF_FOCUS, "{:.0%}", out_of_focus),
        curve("all blurred", BLUR, "{:.2f} px", lambda pixels: plain(blurred(pixels)), 0.0),
        curve("all grained", GRAIN, "{:.1f} of 255", grained, 0.0),
    ]  # fmt: skip


def typos(text: str, rng: np.random.Generator) -> str:
    """The text with one letter in fifty changed places with the next."""
    letters = list(text)
    for at in np.flatnonzero(rng.random(max(0, len(letters) - 1)) < 1 / 50).tolist():
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def plain(vectors: Vectors) -> Change:
    """These vectors in place of those."""
    return lambda rows, _spare, _rng: vectors[rows]


def partly(vectors: Vectors, others: Vectors, share: float) -> Change:
    """The vectors of a share of the rows are these others."""

    def change(rows: Rows, _spare: Rows, _rng: np.random.Generator) -> Vectors:
        changed, count = vectors[rows].copy(), round(share * len(rows))
        changed[:count] = others[rows[:count]]
        return changed

    return change


def noisy(vectors: Vectors, share: float) -> Change:
    """Gaussian noise of this share of the total standard deviation."""
    scale = share * float(np.sqrt(vectors.var(axis=0).mean()))

    def change(rows: Rows, _spare: Rows, rng: np.random.Generator) -> Vectors:
        noise = scale * rng.standard_normal((len(rows), vectors.shape[1]))
        return (vectors[rows] + noise).astype(np.float32)

    return change


def mixed_in(vectors: Vectors, others: Vectors, share: float) -> Change:
    """A share of the rows comes from elsewhere."""

    def change(rows: Rows, _spare: Rows, rng: np.random.Generator) -> Vectors:
        changed, count = vectors[rows].copy(), round(share * len(rows))
        changed[:count] = others[rng.choice(len(others), count, replace=False)]
        return changed

    return change


def more_of(vectors: Vectors, one: NDArray[np.bool_], share: float) -> Change:
    """A share of the rows gives place to rows of one class that are in neither sample."""

    def change(rows: Rows, spare: Rows, rng: np.random.Generator) -> Vectors:
        changed = rows.copy()
        count = round(share * len(rows))
        changed[:count] = rng.choice(spare[one[spare]], count, replace=False)
        return vectors[changed]

    return change


def swapped(vectors: Vectors, labels: Labels, classes: Labels, share: float) -> Change:
    """A share of the rows of one class gives place to rows of another, in neither sample."""
    ours, theirs = (labels == one for one in classes)

    def change(rows: Rows, spare: Rows, rng: np.random.Generator) -> Vectors:
        changed = rows.copy()
        places = np.flatnonzero(ours[rows])
        places = places[: round(share * len(places))]
        changed[places] = rng.choice(spare[theirs[spare]], len(places), replace=False)
        return vectors[changed]

    return change
