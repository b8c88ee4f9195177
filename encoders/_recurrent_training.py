"""How a recurrent encoder of recordings learns: heard otherwise each time, until it is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._descent import Descent, descend, dropping, seeded
from encoders._recurrent import Network, drawn, pack
from encoders._recurrent_goals import Again, Classes, Goal
from encoders._steps import Bands, stacked
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._recurrent import Drop, Shape
    from encoders._steps import Frames, Reading
    from encoders._warp import Warp
    from encoders.base import Json
    from encoders.learning import Watch

    Rows = NDArray[np.int64]

_BATCH = 32
_LEAST_STEPS = 8
"""Of an epoch: few recordings go in smaller batches."""
_LIKE_LENGTH = 8
"""Batches whose recordings are sorted by length together, so that steps are shared by many."""
_MEASURED = 128
"""Recordings measured at a time."""
_LEAST_RECORDINGS, _LEAST_CLASSES = 10, 2


@dataclass(frozen=True)
class Objective:
    """How to learn.

    Attributes:
        held_out: the share of the recordings that is not learned from.
        dropout: share of each layer's output that is left out.
        warp: what recordings go through before they are learned from.
        descent: rate and epochs.
    """

    held_out: float
    dropout: float
    warp: Warp
    descent: Descent


@dataclass(frozen=True)
class Task:
    """What to learn from which recordings.

    Attributes:
        goal: the question.
        train: the rows to learn from.
        held: the rows held out, of each class its share.
        told: what to tell of them besides.
    """

    goal: Goal
    train: Rows
    held: Rows
    told: dict[str, Json]

    @classmethod
    def labelled(
        cls, labels: Sequence[str | None], share: float, rng: np.random.Generator, watch: Watch
    ) -> Task:
        """Tell classes; recordings without a label are passed over.

        Raises:
            EncoderError: if there are too few recordings of two classes.
        """
        names = sorted({label for label in labels if label is not None})
        number = {name: at for at, name in enumerate(names)}
        numbers = np.array([-1 if label is None else number[label] for label in labels], np.int64)
        groups = [np.flatnonzero(numbers == at) for at in range(len(names))]
        train, held = split(groups, share, rng)
        bare = len(labels) - len(train) - len(held)
        told = sum(len(rows) > 1 for rows in groups)
        if told < _LEAST_CLASSES or len(train) + len(held) < _LEAST_RECORDINGS:
            raise EncoderError(
                f"lstm needs {_LEAST_RECORDINGS} labelled recordings or more to learn from, and "
                f"{_LEAST_CLASSES} classes with 2 or more each; got {len(labels) - bare} of "
                f"{len(names)} classes, {told} of them with 2 or more, and {bare} without a "
                "label: label more, or leave label out to learn without"
            )
        if bare:
            watch.note(f"{bare} of {len(labels)} recordings have no label and were passed over")
        return cls(Classes(numbers, len(names)), train, held, {"classes": len(names)})

    @classmethod
    def unlabelled(cls, count: int, goal: Again, share: float, rng: np.random.Generator) -> Task:
        """Unroll recordings.

        Raises:
            EncoderError: if there are too few.
        """
        if count < _LEAST_RECORDINGS:
            raise EncoderError(
                f"lstm needs {_LEAST_RECORDINGS} recordings or more to learn from, got {count}"
            )
        return cls(goal, *split([np.arange(count)], share, rng), {})


def split(groups: Sequence[Rows], share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """The rows to learn from and those held out: a share of each group, and at least one.

    A group of one is learned from.
    """
    held = []
    for rows in groups:
        count = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        held.append(rng.permutation(rows)[:count])
    kept = np.sort(np.concatenate([np.empty(0, np.int64), *held]))
    everyone = np.sort(np.concatenate([np.empty(0, np.int64), *groups]))
    return np.setdiff1d(everyone, kept), kept


@dataclass(frozen=True)
class _Lesson:
    """A network before its recordings."""

    network: Network
    frames: Sequence[Frames]
    bands: Bands
    reading: Reading
    goal: Goal
    device: str

    def whole(self, rows: Rows) -> list[Frames]:
        """The steps of recordings as they are, of the first span of each."""
        stack = self.reading.stack
        return [
            stacked(self.bands.standard(self.reading.spans(self.frames[row])[0]), stack)
            for row in rows
        ]

    def loss(
        self, rows: Rows, warp: Warp, drop: Drop, rng: np.random.Generator
    ) -> tuple[Tensor, int]:
        """Of recordings heard otherwise; what is asked for is what was not masked."""
        bent = [
            self.bands.standard(warp.bent(self._span(row, rng), self.reading.mel, rng))
            for row in rows
        ]
        stack = self.reading.stack
        given = [stacked(warp.masked(heard, rng), stack) for heard in bent]
        vectors = self.network(pack(given, self.device), drop)
        wanted = [stacked(heard, stack) for heard in bent]
        return self.goal.loss(self.network.weights, vectors, rows, wanted)

    def held_out(self, rows: Rows) -> float:
        """The loss of a target of recordings as they are."""
        total, targets = 0.0, 0
        for at in range(0, len(rows), _MEASURED):
            cut = rows[at : at + _MEASURED]
            steps = self.whole(cut)
            vectors = self.network(pack(steps, self.device))
            summed, count = self.goal.loss(self.network.weights, vectors, cut, steps)
            total, targets = total + float(summed), targets + count
        return total / targets

    def measured(self, rows: Rows) -> dict[str, float]:
        """What the goal tells of recordings as they are."""
        import torch

        steps = self.whole(rows)
        cuts = [steps[at : at + _MEASURED] for at in range(0, len(rows), _MEASURED)]
        vectors = torch.cat([self.network(pack(cut, self.device)) for cut in cuts])
        return self.goal.figures(self.network.weights, vectors, rows, steps)

    def _span(self, row: int, rng: np.random.Generator) -> Frames:
        """A recording, or of a long one as much as is read at a stretch, from anywhere."""
        frames, span = self.frames[row], self.reading.span
        start = int(rng.integers(len(frames) - span + 1)) if len(frames) > span else 0
        return frames[start : start + span]


@dataclass(frozen=True)
class Learned:
    """What a fit comes to: the network, the bands it was learned with, and what was measured."""

    network: Network
    bands: Bands
    figures: dict[str, Json]


def learn(  # noqa: PLR0913 - each is a thing of its own
    frames: Sequence[Frames],
    task: Task,
    shape: Shape,
    reading: Reading,
    objective: Objective,
    rng: np.random.Generator,
    device: str,
    *,
    watch: Watch,
) -> Learned:
    """Learn from the frames of recordings.

    Raises:
        EncoderError: if the fit diverges.
    """
    import torch

    bands = Bands.of([frames[row] for row in task.train])
    shapes = shape.weights() | task.goal.weights(shape.dim)
    weights = {
        name: torch.from_numpy(array).to(device)
        for name, array in drawn(shapes, shape.cell, rng).items()
    }
    lesson = _Lesson(Network(shape, weights), frames, bands, reading, task.goal, device)
    drop = dropping(objective.dropout, seeded(rng, device))
    stopping = descend(
        weights,
        lambda: batches(task.train, [len(heard) for heard in frames], rng),
        lambda rows: lesson.loss(rows, objective.warp, drop, rng),
        lambda: lesson.held_out(task.held),
        objective.descent,
        watch=watch,
    )
    with torch.no_grad():
        measured = lesson.measured(task.held)
    failure = task.goal.failure(measured)
    if failure:
        watch.note(failure)
    figures: dict[str, Json] = {
        **stopping.figures(),
        "recordings": len(task.train),
        "held_out_recordings": len(task.held),
        **task.told,
        **measured,
    }
    kept = {name: weights[name].detach() for name in shape.weights()}
    return Learned(Network(shape, kept), bands, figures)


def batches(rows: Rows, lengths: Sequence[int], rng: np.random.Generator) -> list[Rows]:
    """All rows in chance order, those of a batch of like length; equally many each time."""
    size = max(1, min(_BATCH, len(rows) // _LEAST_STEPS))
    order, found = rng.permutation(rows), []
    for start in range(0, len(order), size * _LIKE_LENGTH):
        like = sorted(order[start : start + size * _LIKE_LENGTH], key=lambda row: lengths[row])
        found += [np.array(like[at : at + size]) for at in range(0, len(like), size)]
    return [found[at] for at in rng.permutation(len(found))]
