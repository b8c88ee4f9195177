"""An encoder of recordings told to look through windows: its recipe says so, and it may pool.

What the encoder can do besides encoding, it can do as before: each protocol of `encoders.base` that
it keeps has a class here that hands on.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, field, fields, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import numpy as np

from encoders import windows
from encoders.abilities import Asked, Bridging, Labelled
from encoders.base import Learner
from encoders.learning import QUIET, Watch
from encoders.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from encoders.base import Encoder, Json, Metric, Modality, State
    from encoders.media import Audio

KEY = "window"
"""The parameter that a kind of recordings has beside its own."""


@cache
def with_window(own: Any) -> type[Any]:  # noqa: ANN401 - a dataclass
    """The parameters of a kind, and ``window``; checked as the kind checks its own.

    No subclass: a kind may call a window of its own what it likes.
    """
    types = get_type_hints(own)
    given = [(one.name, types[one.name], _like(one)) for one in fields(own)]
    return make_dataclass(
        own.__name__,
        [*given, (KEY, Window | None, field(default=None))],
        frozen=True,
        namespace={
            "__doc__": own.__doc__,
            "__module__": own.__module__,
            "__documented__": own.__mro__,
            "__post_init__": lambda self: parted(own, self),
        },
    )


def _like(one: Field[Any]) -> Any:  # noqa: ANN401 - as `dataclasses.field` gives it
    if one.default_factory is not MISSING:
        return field(default_factory=one.default_factory, kw_only=one.kw_only)
    return field(default=one.default, kw_only=one.kw_only)


def parted(own: type[Any], params: Any) -> tuple[Any, Window | None]:  # noqa: ANN401 - a kind's own, or `with_window`
    """A kind's own parameters, and the window beside them.

    Raises:
        ValueError: if the kind refuses them.
    """
    if type(params) is own:
        return params, None
    given = {one.name: getattr(params, one.name) for one in fields(own)}
    return own(**given), getattr(params, KEY)


def recipe_with(recipe: dict[str, Json], window: Window) -> dict[str, Json]:
    """A kind's recipe, and how recordings are cut."""
    return {**recipe, KEY: {**asdict(window), "code": windows.REVISION}}


class Windowed:
    """An encoder with a window: of its windows as records, or of records by pooling them."""

    def __init__(self, encoder: Encoder, window: Window, *, normalize: bool) -> None:
        self._encoder: Any = encoder
        self._window = window
        self._normalize = normalize
        self.metric: Metric = encoder.metric
        self.batch_size: int = encoder.batch_size

    @property
    def modality(self) -> Modality:
        """What `encode` takes: recordings."""
        return cast("Modality", self._encoder.modality)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return cast("int", self._encoder.dim)

    def recipe(self) -> dict[str, Json]:
        """All that decides the output, the window too."""
        return recipe_with(self._encoder.recipe(), self._window)

    def encode(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        """Encode windows, ``(n, dim)`` float32; or with ``pool`` recordings by their windows."""
        return self._pooled(batch, self._encoder.encode)

    def _pooled(
        self, batch: Sequence[Audio], encode: Callable[[Sequence[Audio]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        how = self._window.pool
        if how is None or not batch:
            return encode(batch)
        cut = [self._window.cut(audio) for audio in batch]
        pieces = [piece for of in cut for piece in of]
        # No more at a time than the encoder asks for, however many windows a recording has.
        step = self.batch_size
        found = [encode(pieces[at : at + step]) for at in range(0, len(pieces), step)]
        lengths = [[len(piece.samples) for piece in of] for of in cut]
        vectors = windows.pooled(np.concatenate(found), lengths, how)
        if not self._normalize:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit


class _Learning(Windowed):
    """Learns from windows, since it is these that it encodes."""

    @property
    def fit_size(self) -> int:
        return cast("int", self._encoder.fit_size)

    @property
    def fitted(self) -> bool:
        return cast("bool", self._encoder.fitted)

    def fit(self, sample: Sequence[Audio], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        self._encoder.fit([p for audio in sample for p in self._window.parts(audio)], rng, watch)

    def state(self) -> State:
        return cast("State", self._encoder.state())

    def restore(self, state: State) -> None:
        self._encoder.restore(state)


class _Labelled(Windowed):
    @property
    def label(self) -> str | None:
        return cast("str | None", self._encoder.label)

    def fit_labelled(
        self,
        sample: Sequence[Audio],
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        cut = [self._window.parts(audio) for audio in sample]
        each = [label for label, of in zip(labels, cut, strict=True) for _ in of]
        self._encoder.fit_labelled([piece for of in cut for piece in of], each, rng, watch)


class _Asked(Windowed):
    def encode_query(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        return self._pooled(batch, self._encoder.encode_query)


class _Bridging(Windowed):
    @property
    def others(self) -> tuple[Modality, ...]:
        return cast("tuple[Modality, ...]", self._encoder.others)

    @property
    def scale(self) -> float:
        return cast("float", self._encoder.scale)

    def encode_other(self, modality: Modality, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as Encoder.encode
        return cast("NDArray[np.float32]", self._encoder.encode_other(modality, batch))


_KEEPING: tuple[tuple[Any, type[Windowed]], ...] = (
    (Learner, _Learning),
    (Labelled, _Labelled),
    (Asked, _Asked),
    (Bridging, _Bridging),
)


def windowed(encoder: Encoder, window: Window, *, normalize: bool) -> Encoder:
    """An encoder of recordings that looks through windows, and can do all else as before.

    Args:
        encoder: the encoder.
        window: how recordings are cut.
        normalize: bring pooled vectors to L2 norm 1, as those of the encoder are.
    """
    kept = tuple(more for protocol, more in _KEEPING if isinstance(encoder, protocol))
    made = type("Windowed", (*kept, Windowed), {})
    return cast("Encoder", made(encoder, window, normalize=normalize))
