"""What an encoder is, and where encoders are found.

An encoder turns a batch of records of one modality into a float matrix. Each file of this package
whose name has no leading underscore and that defines ``build`` is one encoder *kind*: the file's
name is its name in the configuration, and nothing else has to be edited to add one. Such a module
has three names:

* ``MODALITY``: what a batch holds (see `Encoder.encode`),
* ``Params``: a frozen dataclass, the keys that ``[encoders.NAME]`` takes,
* ``build(params)``: the encoder. It may load weights; importing the module must not.

It may have two more:

* ``recipe(params)``: what `Encoder.recipe` of the built encoder gives, for kinds that can tell it
  without loading weights. A run that finds nothing changed then loads none.
* ``PATHS``: the names of parameters that may be paths. The configuration makes those absolute
  that lie in the project folder; see `encoders._paths.as_path` for what an encoder makes of them.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import threading
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeAlias,
    cast,
    runtime_checkable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Modality: TypeAlias = Literal["text", "image", "audio", "tabular"]
Metric: TypeAlias = Literal["cosine", "l2", "dot"]
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_BUILDING = threading.Lock()


class EncoderError(Exception):
    """An encoder cannot be built or used as asked: weights missing, parameters that clash."""


@dataclass(frozen=True)
class State:
    """What an encoder learned: named arrays, and the JSON that gives them meaning."""

    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Json] = field(default_factory=dict)


def digest(state: State) -> str:
    """The SHA-256 of a state, 64 hex characters; the order of its names does not matter.

    Raises:
        EncoderError: if an array holds Python objects, whose bytes are addresses, not values.
        ValueError: if the meta holds NaN or infinity, which JSON cannot.
    """
    total = sha256()
    for name, array in sorted(state.arrays.items()):
        if array.dtype.hasobject:
            raise EncoderError(
                f"array {name!r} of an encoder's state has dtype {array.dtype}; expected numbers "
                "or fixed-width strings: put Python objects into the meta, as JSON"
            )
        total.update(_canonical([name, array.dtype.str, list(array.shape)]))
        total.update(array.tobytes())
    total.update(_canonical(dict(state.meta)))
    return total.hexdigest()


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


class Encoder(Protocol):
    """Turns records into vectors, the same record always into the same vector.

    Several threads may call the methods of one encoder at once, and each gets what it would get
    alone; `Learner.fit` and `Learner.restore` alone need the encoder to themselves.

    Attributes:
        modality: what `encode` takes.
        metric: the distance under which near vectors mean like records.
        dim: the width of the vectors.
        batch_size: how many records the caller should hand over at a time. It bounds memory and
            must not change the result.
    """

    modality: ClassVar[Modality]
    metric: Metric
    batch_size: int

    @property
    def dim(self) -> int:
        """The width of the vectors."""

    def recipe(self) -> dict[str, Json]:
        """All that decides the output; hashed, it is the encoder's fingerprint.

        Kind, parameters, digest of weights or fitted state, preprocessing, and the versions of
        the code that matter. Never a secret, never a path.
        """

    def encode(self, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - see the table below
        """Encode a batch, rows in order.

        ========  =========================================================
        modality  batch
        ========  =========================================================
        text      sequence of str
        image     sequence of PIL images, mode RGB
        audio     sequence of `encoders.media.Audio`
        tabular   polars DataFrame, a row a record, typed columns
        ========  =========================================================

        Returns:
            ``(n, dim)`` float32, finite; ``(0, dim)`` for an empty batch. A row depends on its
            own record alone: not on its neighbours, on padding or on order.
        """


@runtime_checkable
class Learner(Protocol):
    """An encoder that must see a sample before it can encode.

    Attributes:
        fit_size: how many records a sample should hold; more are not needed.
    """

    fit_size: int

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""

    def fit(self, sample: Any, rng: np.random.Generator) -> None:  # noqa: ANN401 - as in encode
        """Learn from a sample (a batch, as `Encoder.encode` takes it); all chance is in `rng`."""

    def state(self) -> State:
        """What was learned; `restore` with it gives an encoder of equal output."""

    def restore(self, state: State) -> None:
        """Take over what another encoder of equal parameters learned."""


@runtime_checkable
class Cutting(Protocol):
    """An encoder that reads a record only up to a limit, and can tell which go beyond."""

    def truncated(self, batch: Any) -> int:  # noqa: ANN401 - as in encode
        """How many records of a batch are longer than the encoder reads."""


@cache
def kinds() -> tuple[str, ...]:
    """The encoder kinds, by file name."""
    import encoders

    names = (
        m.name
        for m in pkgutil.iter_modules(encoders.__path__)
        if m.name != "base" and m.name[0] != "_"
    )
    return tuple(sorted(name for name in names if hasattr(_module(name), "build")))


def _module(kind: str) -> Any:  # noqa: ANN401 - a module with the three names above
    return importlib.import_module(f"encoders.{kind}")


def params_type(kind: str) -> type[Any]:
    """The dataclass of the keys that this kind takes."""
    return cast("type[Any]", _module(kind).Params)


def paths(kind: str) -> tuple[str, ...]:
    """The names of this kind's parameters that may be paths."""
    return tuple(getattr(_module(kind), "PATHS", ()))


def modality(kind: str) -> Modality:
    """What records this kind of encoder reads."""
    return cast("Modality", _module(kind).MODALITY)


def quick_recipe(kind: str, params: object) -> dict[str, Json] | None:
    """The encoder's recipe, where its kind can tell it without loading weights; None elsewhere."""
    recipe = getattr(_module(kind), "recipe", None)
    return None if recipe is None else cast("dict[str, Json]", recipe(params))


def build(kind: str, params: object) -> Encoder:
    """Build an encoder; may take seconds, since weights are loaded and checked.

    Threads take turns: loaders switch loggers and the random state of the whole process.
    """
    with _BUILDING:
        return cast("Encoder", _module(kind).build(params))
