"""What an encoder is, and where encoders are found.

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
    Literal,
    Protocol,
    TypeAlias,
    cast,
    runtime_checkable,
)

from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.windows import Window

Modality: TypeAlias = Literal[
    "text", "image", "audio", "tabular", "vector", "graph", "interactions"
]
Metric: TypeAlias = Literal["cosine", "l2", "dot"]
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_BUILDING = threading.Lock()


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


@dataclass(frozen=True)
class Truncated:
    """How much of some texts an encoder does not read; add them up with ``+``.

    Attributes:
        texts: how many of them are longer than it reads.
        cut: tokens beyond its limit.
        tokens: tokens of all the texts, short ones too.
        limit: tokens that it reads of a text at most; None where it has no limit.
    """

    texts: int = 0
    cut: int = 0
    tokens: int = 0
    limit: int | None = None

    @classmethod
    def of(cls, lengths: Sequence[int], limit: int) -> Truncated:
        """For texts of so many tokens each, of which `limit` are read."""
        over = [n - limit for n in lengths if n > limit]
        return cls(len(over), sum(over), sum(lengths), limit)

    def __add__(self, other: Truncated) -> Truncated:
        return Truncated(
            self.texts + other.texts,
            self.cut + other.cut,
            self.tokens + other.tokens,
            other.limit if self.limit is None else self.limit,
        )


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


@runtime_checkable
class Labelled(Protocol):
    """A learner that may learn from labels, such as the class of an image.

    Attributes:
        label: the kept column of the source that holds them, a parameter of this name too; None
            where it learns without.
    """

    label: str | None

    def fit_labelled(
        self,
        sample: Any,  # noqa: ANN401 - as in encode
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn as `Learner.fit` does, from a sample and the label of each of its records.

        Args:
            sample: as there.
            labels: values of the column as text, None where a record has none.
            rng: as there.
            watch: as there.
        """


@runtime_checkable
class Cutting(Protocol):
    """An encoder that reads a record only up to a limit, and can tell what lies beyond."""

    def truncated(self, batch: Any) -> Truncated:  # noqa: ANN401 - as in encode
        """How much of a batch the encoder does not read."""
        ...


@runtime_checkable
class Grouping(Protocol):
    """An encoder that divides what it is handed into batches by itself, and tells how."""

    def together(self, batch: Any) -> list[list[int]]:  # noqa: ANN401 - as in encode
        """The records that run through the model together, by their places in the batch."""
        ...


@runtime_checkable
class Asked(Protocol):
    """An encoder that encodes what is searched for otherwise than what is found."""

    def encode_query(self, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as in encode
        """Encode queries, as `Encoder.encode` does records, into the same space."""
        ...


@runtime_checkable
class Bridging(Protocol):
    """An encoder that puts other things than its records into the same space, to be held together.

    Its recipe has an entry ``space``: a digest of all that must be equal for the vectors of two
    encoders to be comparable. Vectors of one modality lie in a part of the space of their own
    (Liang et al. 2022, "Mind the Gap"), so distances across are larger than those within, and
    only their order means something.

    Attributes:
        others: the modalities besides its own that it takes.
        scale: what the model has learned to multiply cosines by before a softmax over them.
    """

    @property
    def others(self) -> tuple[Modality, ...]:
        """The modalities besides its own that `encode_other` takes."""
        ...

    @property
    def scale(self) -> float:
        """The inverse of the temperature that the model was trained with; above 0."""
        ...

    def encode_other(self, modality: Modality, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as in encode
        """Encode a batch of one of the others, as `Encoder.encode` does records."""
        ...


@runtime_checkable
class Worded(Protocol):
    """An encoder of texts with a table of words, which can be asked for by themselves."""

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The words, most frequent first where that is known, and their vectors ``(v, d)``."""
        ...

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(d,)`` of one word, be it in the table or not; None where it has none."""
        ...


class Splitter(Protocol):
    """Cuts texts into chunks that an encoder reads whole."""

    def __call__(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """The chunks of each text in order, as spans of characters ``text[start:end]``.

        At least one a text, be it empty; neighbours may overlap, and nothing is left out but
        white space.
        """
        ...


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
    """The dataclass of the keys that this kind takes; one of recordings takes ``window`` as well.

    See `encoders.windows.Window`.
    """
    from encoders import _windowed

    own = _module(kind).Params
    return cast("type[Any]", _windowed.with_window(own) if _hears(kind) else own)


def _hears(kind: str) -> bool:
    """Whether a kind reads recordings, or can be told to."""
    return "audio" in _reads(kind)


def _parted(kind: str, params: object) -> tuple[Any, Window | None]:
    """The parameters as the kind defines them, and the window that `params_type` has beside.

    Raises:
        EncoderUsageError: if there is a window for what is no recording.
    """
    from encoders import _windowed

    own, found = _windowed.parted(_module(kind).Params, params)
    if found is not None and modality(kind, own) != "audio":
        raise EncoderUsageError(
            f"window cuts recordings, and this encoder of kind {kind!r} reads "
            f"{modality(kind, own)}; take window out"
        )
    return own, found


def paths(kind: str) -> tuple[str, ...]:
    """The names of this kind's parameters that may be paths."""
    return tuple(getattr(_module(kind), "PATHS", ()))


def modality(kind: str, params: object) -> Modality:
    """What records an encoder of this kind reads, by its parameters where they decide."""
    module = _module(kind)
    found = module.MODALITY if hasattr(module, "MODALITY") else module.modality(params)
    return cast("Modality", found)


def quick_recipe(kind: str, params: object) -> dict[str, Json] | None:
    """The encoder's recipe, where its kind can tell it without loading weights; None elsewhere."""
    from encoders import _windowed

    recipe = getattr(_module(kind), "recipe", None)
    if recipe is None:
        return None
    own, found = _parted(kind, params)
    given = cast("dict[str, Json]", recipe(own))
    return given if found is None else _windowed.recipe_with(given, found)


def price(kind: str, params: object, batch: Any) -> tuple[float, str] | None:  # noqa: ANN401 - as in Encoder.encode
    """What encoding a batch costs, and in which currency; None for kinds that cost nothing."""
    estimate = getattr(_module(kind), "price", None)
    return None if estimate is None else cast("tuple[float, str] | None", estimate(params, batch))


def nested(kind: str) -> bool:
    """Whether the first k dimensions of this kind are what it gives for ``dim = k``."""
    return bool(getattr(_module(kind), "NESTED", False))


def coded(kind: str) -> bool:
    """Whether encoders of this kind tell by which codes their vectors can be written down."""
    return bool(getattr(_module(kind), "CODED", False))


def reading(modality: Modality) -> tuple[str, ...]:
    """The kinds that read records of this modality, or can be told to."""
    return tuple(kind for kind in kinds() if modality in _reads(kind))


def _reads(kind: str) -> tuple[str, ...]:
    """What a kind reads, or can be told to."""
    module = _module(kind)
    return tuple(getattr(module, "READS", (getattr(module, "MODALITY", ""),)))


def splitter(kind: str, params: object) -> Splitter | None:
    """How texts are cut before they are encoded; None where they are encoded whole."""
    make = getattr(_module(kind), "splitter", None)
    return None if make is None else cast("Splitter | None", make(params))


def window(kind: str, params: object) -> Window | None:
    """How recordings are cut; None where they are encoded whole, and for all that is no recording.

    With ``pool`` the encoder cuts them itself, and makes one vector of each.
    """
    return _parted(kind, params)[1] if _hears(kind) else None


def build(kind: str, params: object) -> Encoder:
    """Build an encoder; may take seconds, since weights are loaded and checked.

    Threads take turns: loaders switch loggers and the random state of the whole process.
    """
    from encoders import _windowed

    own, found = _parted(kind, params)
    with _BUILDING:
        encoder = cast("Encoder", _module(kind).build(own))
    if found is None:
        return encoder
    return _windowed.windowed(encoder, found, normalize=bool(getattr(own, "normalize", False)))
