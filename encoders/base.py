"""What an encoder is, and what the file of an encoder kind holds.

An encoder turns a batch of records of one modality into a float matrix. Each file of this package
whose name has no leading underscore and that defines ``build`` is one encoder *kind*: the file's
name is its name in the configuration, and nothing else has to be edited to add one. Such a module
has three names:

* ``MODALITY``: what a batch holds (see `Encoder.encode`); or, where that is the user's choice, a
  function ``modality(params)``,
* ``Params``: a frozen dataclass, the keys that ``[encoders.NAME]`` takes,
* ``build(params)``: the encoder. It may load weights; importing the module must not.

It may have more:

* ``READS``: where ``modality`` is a function, all that it may give. A kind that may read recordings
  takes the key ``window``, and needs to do nothing for it (`encoders.windows`).
* ``recipe(params)``: what `Encoder.recipe` of the built encoder gives, for kinds that can tell it
  without loading weights. A run that finds nothing changed then loads none.
* ``price(params, batch)``: an amount and its currency, such as ``(0.02, "USD")``: what encoding a
  batch costs, for kinds that are paid by use; None where the parameters give no price. Estimated,
  without asking anybody. What such kinds can do besides is in `encoders.metering`.
* ``splitter(params)``: how texts are cut into chunks, each a row of its own (`Splitter`), or None
  where the parameters do not ask for that. It may read a tokenizer; it must not load weights.
* ``NESTED``: true where the first k dimensions, brought to norm 1 where all are, are what the
  encoder gives for ``dim = k``: main directions come in their order.
* ``CODED``: true where a table may hold the vectors in fewer bits than float32 takes, by the codes
  that the built encoder tells (`encoders.codes`).
* ``PATHS``: the names of parameters that may be paths. The configuration makes those absolute
  that lie in the project folder; see `encoders._paths.as_path` for what an encoder makes of them.

What an encoder may be able to do besides is in `encoders.abilities`. `encoders.registry` finds the
kinds and asks them for all this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Modality: TypeAlias = Literal[
    "text", "image", "audio", "tabular", "vector", "graph", "interactions"
]
Metric: TypeAlias = Literal["cosine", "l2", "dot"]
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class EncoderError(Exception):
    """An encoder cannot be built or used as asked: weights missing, parameters that clash."""


class EncoderUsageError(EncoderError):
    """What was asked of an encoder makes no sense: a mistake in the configuration."""


@dataclass(frozen=True)
class State:
    """What an encoder learned: named arrays, and the JSON that gives them meaning.

    The entry ``figures`` of the meta, where there is one, is an object of what the fit measured,
    such as `encoders.learning.EarlyStopping.figures`; it is shown to people.
    """

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
        metric: the distance under which near vectors mean like records.
        dim: the width of the vectors.
        batch_size: how many records the caller should hand over at a time. It bounds memory and
            must not change the result.
    """

    @property
    def modality(self) -> Modality:
        """What `encode` takes."""
        ...

    metric: Metric
    batch_size: int

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        ...

    def recipe(self) -> dict[str, Json]:
        """All that decides the output; hashed, it is the encoder's fingerprint.

        Kind, parameters, digest of weights or fitted state, preprocessing, and the versions of
        the code that matter. Never a secret, never a path.
        """
        ...

    def encode(self, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - see the table below
        """Encode a batch, rows in order.

        ============  =========================================================
        modality      batch
        ============  =========================================================
        text          sequence of str
        image         sequence of PIL images, mode RGB
        audio         sequence of `encoders.media.Audio`
        tabular       polars DataFrame, a row a record, typed columns
        vector        polars DataFrame, a column a feature; see `encoders.vectors`
        graph         polars DataFrame, a row a node and what is around it
        interactions  polars DataFrame, a row a user or an item and whom it met
        ============  =========================================================

        Returns:
            ``(n, dim)`` float32, finite; ``(0, dim)`` for an empty batch. A row depends on its
            own record alone: not on its neighbours, on padding or on order.
        """
        ...


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
        ...

    def fit(self, sample: Any, rng: np.random.Generator, watch: Watch = QUIET) -> None:  # noqa: ANN401 - as in encode
        """Learn from a sample (a batch, as `Encoder.encode` takes it).

        All chance is in `rng`: equal samples and generators give equal states. What takes long
        tells `watch` how far it is; what went badly, such as overfitting, too.
        """

    def state(self) -> State:
        """What was learned; `restore` with it gives an encoder of equal output."""
        ...

    def restore(self, state: State) -> None:
        """Take over what another encoder of equal parameters learned."""


class Splitter(Protocol):
    """Cuts texts into chunks that an encoder reads whole."""

    def __call__(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """The chunks of each text in order, as spans of characters ``text[start:end]``.

        At least one a text, be it empty; neighbours may overlap, and nothing is left out but
        white space.
        """
        ...
