"""What encoders that learn do alike with what they have learned.

A model is whatever an encoder keeps of a fit: a frozen value, never changed once it is taken. A
`State` is the form in which it is written down. An encoder over this base says how to come from
one to the other, and gets `fitted`, `state`, `restore` and the digest for its recipe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from encoders.base import EncoderError, State, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Model = TypeVar("Model")


class Learned(ABC, Generic[Model]):
    """The half of `encoders.base.Learner` that is not the learning itself.

    Attributes:
        kind: the encoder's kind, by which its states are told from those of others.
        nothing: what it lacks before it is fitted, for the error that says so.
    """

    kind: ClassVar[str]
    nothing: ClassVar[str] = "has learned nothing yet"

    def __init__(self) -> None:
        self._model: Model | None = None
        self._digest: str | None = None

    @abstractmethod
    def _written(self, model: Model) -> State:
        """A model as a state; the meta's ``kind`` is added here."""

    @abstractmethod
    def _read(self, state: State) -> Model:
        """The model of a state of this kind, which is the caller's to keep.

        Raises:
            EncoderError: if the state does not go with the parameters, or with itself.
        """

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._model is not None

    def state(self) -> State:
        """What was learned, in arrays of the caller's own.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return copied(self._stated(self._known()))

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            EncoderError: if it is not that of an encoder of this kind and these parameters.
        """
        found = state.meta.get("kind")
        if found != self.kind:
            raise EncoderError(
                f"this is not the state of an encoder of kind {self.kind}: got {found} with arrays "
                f"{sorted(state.arrays)}; restore it into one of its own kind, or fit again"
            )
        self._take(self._read(copied(state)))

    def _known(self) -> Model:
        if self._model is None:
            raise EncoderError(f"{self.kind} {self.nothing}: call fit or restore first")
        return self._model

    def _take(self, model: Model) -> None:
        self._model, self._digest = model, digest(self._stated(model))

    def _stated(self, model: Model) -> State:
        state = self._written(model)
        return State(state.arrays, {"kind": self.kind, **state.meta})


def copied(state: State) -> State:
    """So that a caller who writes into the arrays of a state does not change the encoder."""
    return State({name: array.copy() for name, array in state.arrays.items()}, dict(state.meta))


def expect(state: State, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that a state has these arrays and no others.

    Raises:
        EncoderError: says which differ.
    """
    found = {name: array.shape for name, array in state.arrays.items()}
    if found == dict(shapes):
        return
    wrong = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
    raise EncoderError(
        f"this is not the state of an encoder of kind {state.meta.get('kind')} with these "
        f"parameters: {_differing(wrong, found, shapes)}; fit again"
    )


def _differing(
    wrong: Sequence[str],
    found: Mapping[str, tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """The first arrays that differ, in words."""
    told = [f"{n}: got {found.get(n, 'none')}, expected {shapes.get(n, 'none')}" for n in wrong[:2]]
    more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""  # noqa: PLR2004 - those told
    return "; ".join(told) + more
