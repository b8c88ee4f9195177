"""Learning embeddings of categories: from a label, or from the other columns of the row.

Guo & Berkhahn 2016, "Entity Embeddings of Categorical Variables": the rows of all columns, side by
side with the numbers, go through a network that tells the label. A straight way to the label beside
it (Cheng et al. 2016, "Wide & Deep Learning") makes what tells it linear in the rows.

Without a label some columns of each row are hidden, and told from the others (as words are by BERT,
Devlin et al. 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from encoders._descent import descend, seeded
from encoders._mlp import Mlp
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from encoders._descent import Descent
    from encoders._fields import Field
    from encoders.base import Json
    from encoders.learning import Watch

_BATCH = 256
_SPREAD = 0.1
_BLOCK = 4096


@dataclass(frozen=True)
class Rows:
    """Some records.

    Attributes:
        index: ``(n, fields)`` int64, the row of each in its table.
        beside: ``(n, numbers)`` float32, what stands alongside.
        target: ``(n,)``, the label: a class int64, or a standardised number float32; None without.
    """

    index: Tensor
    beside: Tensor
    target: Tensor | None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Rows:  # noqa: ANN401 - whatever torch indexes by
        target = None if self.target is None else self.target[rows]
        return Rows(self.index[rows], self.beside[rows], target)


class Goal(Protocol):
    """What is to be told of a record."""

    @property
    def outputs(self) -> int:
        """How many numbers the network gives."""
        ...

    def seen(self, rows: Rows, generator: Generator) -> tuple[Rows, Tensor]:
        """The records as the network is shown them, and which fields are hidden ``(n, fields)``."""
        ...

    def loss(self, told: Tensor, rows: Rows, hidden: Tensor) -> tuple[Tensor, int]:
        """Of what is told of records: its sum over the targets in nats, and how many these are."""
        ...

    def figures(self, told: Tensor, held: Rows, hidden: Tensor, train: Rows) -> dict[str, Json]:
        """How well held-out records are told."""
        ...


def learn(
    fields: Sequence[Field],
    rows: tuple[Rows, Rows],
    goal: Goal,
    hidden: tuple[int, ...],
    descent: Descent,
    rng: np.random.Generator,
    watch: Watch,
) -> tuple[list[Tensor], dict[str, Json]]:
    """Learn the tables of all fields; also what the fit measured.

    Args:
        fields: how columns are read.
        rows: those to learn from, and those held out.
        goal: what is to be told.
        hidden: layers of the network.
        descent: how to descend.
        rng: all chance.
        watch: hears of the fit.

    Raises:
        EncoderError: if the fit diverges.
    """
    import torch

    train, held = rows
    width = sum(field.dim for field in fields) + train.beside.shape[1]
    net = Mlp("net", (width, *hidden, goal.outputs), "relu")
    drawn: dict[str, NDArray[Any]] = {
        f"table_{at}": rng.normal(0, _SPREAD, f.shape) for at, f in enumerate(fields)
    }
    drawn |= {**net.initial(rng), "straight": rng.normal(0, _SPREAD, (width, goal.outputs))}
    weights = {name: torch.tensor(array, dtype=torch.float32) for name, array in drawn.items()}
    generator = seeded(rng, "cpu")
    shown, away = goal.seen(held, generator)

    def tell(seen: Rows) -> Tensor:
        found = [
            torch.nn.functional.embedding(seen.index[:, at], weights[f"table_{at}"])
            for at in range(len(fields))
        ]
        wide = torch.cat([*found, seen.beside], dim=1)
        return net.forward(weights, wide) + wide @ weights["straight"]

    def batches() -> list[Tensor]:
        order = torch.from_numpy(rng.permutation(len(train)))
        return list(torch.split(order, _BATCH))

    def loss(picked: Tensor) -> tuple[Tensor, int]:
        batch = train[picked]
        seen, gone = goal.seen(batch, generator)
        return goal.loss(tell(seen), batch, gone)

    def held_out() -> float:
        summed, count = goal.loss(told(), held, away)
        return float(summed) / count

    def told() -> Tensor:
        parts = torch.split(torch.arange(len(shown)), _BLOCK)
        return torch.cat([tell(shown[part]) for part in parts])

    stopping = descend(weights, batches, loss, held_out, descent, watch=watch)
    with torch.no_grad():
        figures = goal.figures(told(), held, away, train)
    tables = [weights[f"table_{at}"].detach() for at in range(len(fields))]
    return tables, {**stopping.figures(), **figures}


@dataclass(frozen=True)
class Dropping:
    """Takes categories away at random, so that the rows of others and of gaps are learned.

    Attributes:
        share: of the values that are taken for one of all others; the same of those taken for a
            gap, in columns whose sample had none.
        known: ``(fields,)`` int64, rows before that of others.
        whole: ``(fields,)`` bool, whether the sample had no gap there.
    """

    share: float
    known: Tensor
    whole: Tensor

    def __call__(self, index: Tensor, generator: Generator) -> Tensor:
        """Rows ``(n, fields)`` with some taken away."""
        import torch

        drawn = torch.rand(index.shape, generator=generator)
        index = torch.where(drawn < self.share, self.known, index)
        gone = (drawn > 1 - self.share) & self.whole
        return torch.where(gone, self.known + 1, index)


@dataclass(frozen=True)
class Labels:
    """To tell the label: one of some classes, or where there is one output a number."""

    outputs: int
    dropping: Dropping

    def seen(self, rows: Rows, generator: Generator) -> tuple[Rows, Tensor]:
        """Records with some categories taken away; nothing is hidden that is to be told."""
        import torch

        index = self.dropping(rows.index, generator)
        return Rows(index, rows.beside, None), torch.zeros_like(index, dtype=torch.bool)

    def loss(self, told: Tensor, rows: Rows, hidden: Tensor) -> tuple[Tensor, int]:
        """Cross-entropy; of numbers half the squared error, that of a normal distribution."""
        from torch.nn.functional import cross_entropy

        del hidden
        target = _target(rows)
        if self.outputs == 1:
            return (told[:, 0] - target).square().sum() / 2, len(rows)
        return cross_entropy(told, target, reduction="sum"), len(rows)

    def figures(self, told: Tensor, held: Rows, hidden: Tensor, train: Rows) -> dict[str, Json]:
        """The accuracy, and that of the most frequent class; of numbers the share explained."""
        import torch

        del hidden
        target, before = _target(held), _target(train)
        if self.outputs == 1:
            left = (told[:, 0] - target).square().mean()
            return {"held_out_r2": float(1 - left / (target - before.mean()).square().mean())}
        guess = torch.bincount(before, minlength=self.outputs).argmax()
        return {
            "classes": self.outputs,
            "held_out_accuracy": float((told.argmax(1) == target).double().mean()),
            "held_out_accuracy_of_guess": float((target == guess).double().mean()),
        }


@dataclass(frozen=True)
class Masked:
    """To tell columns that are hidden from those that are not.

    Attributes:
        outputs: the rows of all tables.
        dropping: its share is that of the columns hidden beside one of each record.
        beside: ``(numbers,)`` int64, the field of what stands alongside.
    """

    outputs: int
    dropping: Dropping
    beside: Tensor

    def seen(self, rows: Rows, generator: Generator) -> tuple[Rows, Tensor]:
        """Records in which at least one field looks like all others, its numbers at their mean."""
        import torch

        hidden = torch.rand(rows.index.shape, generator=generator) < self.dropping.share
        one = torch.randint(rows.index.shape[1], (len(rows), 1), generator=generator)
        hidden.scatter_(1, one, value=True)
        # a hidden field is a gap or one of all others, by turns, so that both rows are learned
        gap = (torch.rand(hidden.shape, generator=generator) < 0.5) & self.dropping.whole  # noqa: PLR2004 - half
        index = torch.where(hidden, self.dropping.known + gap, rows.index)
        return Rows(index, rows.beside * ~hidden[:, self.beside], None), hidden

    def loss(self, told: Tensor, rows: Rows, hidden: Tensor) -> tuple[Tensor, int]:
        """Cross-entropy of the rows of hidden fields."""
        import torch
        from torch.nn.functional import cross_entropy

        total, count = torch.zeros(()), 0
        for at, part in enumerate(self._parts(told)):
            gone = hidden[:, at]
            total = total + cross_entropy(part[gone], rows.index[gone, at], reduction="sum")
            count += int(gone.sum())
        return total, count

    def figures(self, told: Tensor, held: Rows, hidden: Tensor, train: Rows) -> dict[str, Json]:
        """The accuracy over hidden fields, and that of the most frequent value of each."""
        right = guessed = count = 0
        for at, part in enumerate(self._parts(told)):
            gone = hidden[:, at]
            true = held.index[gone, at]
            right += int((part[gone].argmax(1) == true).sum())
            guessed += int((true == train.index[:, at].mode().values).sum())
            count += len(true)
        return {
            "held_out_accuracy": right / count,
            "held_out_accuracy_of_guess": guessed / count,
        }

    def _parts(self, told: Tensor) -> tuple[Tensor, ...]:
        import torch

        return torch.split(told, [int(known) + 2 for known in self.dropping.known], dim=1)


def _target(rows: Rows) -> Tensor:
    if rows.target is None:
        raise ValueError("these records have no label")
    return rows.target


def goal(
    fields: Sequence[Field], labels: Sequence[str] | None, target: str, share: float
) -> tuple[Tensor | None, Goal]:
    """What is to be told of records, and their targets, ``(n,)``, where these are labels.

    Args:
        fields: how columns are read.
        labels: of the records; None to tell hidden columns.
        target: ``class`` or ``number``.
        share: of the values that are taken away while learning.

    Raises:
        EncoderError: if all labels are one, or one that should be a number is none.
    """
    import torch

    known = torch.tensor([each.known for each in fields])
    dropping = Dropping(share, known, torch.tensor([not each.column.gaps for each in fields]))
    if labels is None:
        places = [at for at, each in enumerate(fields) for _ in range(each.beside)]
        outputs = int((known + 2).sum())
        return None, Masked(outputs, dropping, torch.tensor(places, dtype=torch.int64))
    classes = {name: at for at, name in enumerate(sorted(set(labels)))}
    if len(classes) == 1:
        raise EncoderError(f"all {len(labels)} labels are {labels[0]!r}; two must differ")
    if target == "number":
        return torch.tensor(_numbers(labels), dtype=torch.float32), Labels(1, dropping)
    return torch.tensor([classes[label] for label in labels]), Labels(len(classes), dropping)


def _numbers(labels: Sequence[str]) -> NDArray[np.float64]:
    """Labels as numbers of mean 0 and variance 1."""
    import numpy as np

    values = []
    for label in labels:
        try:
            values.append(float(label))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise EncoderError(
                f"target = 'number' needs labels that are numbers, got {label!r}; clean the "
                "column, or set target = 'class'"
            )
    found = np.array(values)
    deviation = float(found.std())
    standard: NDArray[np.float64] = (found - found.mean()) / (deviation or 1.0)
    return standard
