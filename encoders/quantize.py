"""Vectors of a feature in 8 bits or 1 bit a dimension instead of 32.

In 8 bits each dimension is one of 255 steps between two quantiles of a sample; what lies beyond
becomes the outermost step (scalar quantisation). For vectors that are compared by cosine zero is a
step, so that no vector stays no vector (Jacob et al. 2018, section 2.1).

In 1 bit it is on which side of the sample's mean a vector lies there, or of zero without `centre`;
the share of signs that differ grows with the angle (Charikar 2002, there by random directions; by
the model's own dimensions as in Shakir, Aarsen and Lee 2024, "Binary and Scalar Embedding
Quantization"). Such vectors find candidates, of which the whole vectors then tell the nearest:
Yamada, Asai and Hajishirzi 2021, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from encoders._learned import Learned, expect
from encoders._one_part import one_part, vectors_of
from encoders._ranges import check_count
from encoders.base import EncoderError, State
from encoders.codes import Codes
from encoders.learning import QUIET, Watch
from encoders.vectors import Part  # noqa: TC001 - pydantic reads the annotations

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Encoder, Json, Metric, Modality

MODALITY: Modality = "vector"
CODED = True
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_TOP = 127
"""The outermost code of 8 bits, either way; -128 is left out, so that zero can be the middle."""
_LEAST_SAMPLE = 2
_LARGEST = 3e38
"""What a float32 holds."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]``.

    Attributes:
        bits: a dimension: 8, or 1.
        quantile: with 8 bits: which share of a sample's values, at either end, lies beyond the
            outermost step of its dimension.
        centre: with 1 bit: whether signs are those of the distance from a sample's mean.
        batch_size: records at a time.
        parts: the feature that the encoder is over; a run fills it in from the feature's ``over``,
            so a configuration leaves it out.

    Raises:
        ValueError: if a value is out of its range.
    """

    bits: Literal[8, 1] = 8
    quantile: float = 0.001
    centre: bool = True
    batch_size: int = 4096
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.bits not in {8, 1}:
            raise ValueError(f"bits must be 8 or 1, got {self.bits}")
        if not 0 <= self.quantile < 0.5:  # noqa: PLR2004 - the median
            raise ValueError(f"quantile must be from 0 to below 0.5, got {self.quantile}")
        check_count("batch_size", self.batch_size)


class _Quantize:
    """What both ways have in common; ``dim`` is that of the feature."""

    modality: Modality = "vector"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._part = one_part("quantize", params.parts)
        self.params = params
        self.batch_size = params.batch_size
        # Signs keep no lengths, so angles are all that they can be compared by.
        self.metric: Metric = "cosine" if params.bits == 1 else self._part.metric

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._part.dim

    def _recipe(self) -> dict[str, Json]:
        eight = self.params.bits == 8  # noqa: PLR2004 - bits
        decides = {"quantile": self.params.quantile} if eight else {"centre": self.params.centre}
        return {
            "kind": "quantize",
            "revision": REVISION,
            "params": {"bits": self.params.bits, **decides},
            "unit": self._part.metric == "cosine",
            "parts": [self._part.recipe()],
        }

    def _signs(self, batch: pl.DataFrame, mean: NDArray[np.float64] | float) -> NDArray[np.float32]:
        import numpy as np

        above = vectors_of(batch, self._part) > mean
        return np.where(above, 1, -1).astype(np.float32)


class Signs(_Quantize):
    """Vectors of one feature to their signs, ``(n, dim)`` float32 of -1 and 1; 0 gives -1."""

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters and the part's fingerprint."""
        return self._recipe()

    def codes(self) -> Codes:
        """Of 1 bit."""
        return _one_bit(self.dim)

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """The signs of a batch, a column the part (`encoders.vectors`).

        Raises:
            EncoderError: if the part is missing from the batch, or has another width.
        """
        return self._signs(batch, 0.0)


@dataclass(frozen=True)
class _Model:
    """The mean for 1 bit; for 8 the middle of the range, and its step; each ``(dim,)`` float64."""

    middle: NDArray[np.float64]
    step: NDArray[np.float64]


class Quantize(_Quantize, Learned[_Model]):
    """Vectors of one feature to codes, learned from a sample, as the values that these stand for.

    ``(n, dim)`` float32: with 8 bits off by half a step at most, within the range; with 1 bit -1
    and 1. With 8 bits the metric stays that of the feature; with 1 bit it is cosine, by which the
    fewest signs that differ are nearest.
    """

    fit_size = 20_000
    kind = "quantize"
    nothing = "has learned no range yet"

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn the range of each dimension, or its mean, from a sample.

        Raises:
            EncoderError: if it has under two records.
        """
        import numpy as np

        del rng, watch  # nothing here is left to chance, nor takes long
        if len(sample) < _LEAST_SAMPLE:
            raise EncoderError(
                f"quantize needs {_LEAST_SAMPLE} records or more to learn from, got {len(sample)}"
            )
        values = np.clip(vectors_of(sample, self._part), -_LARGEST, _LARGEST)
        if self.params.bits == 1:
            self._take(_Model(values.mean(axis=0), np.ones(self.dim)))
            return
        ends = [self.params.quantile, 1 - self.params.quantile]
        low, high = np.quantile(values, ends, axis=0)
        if self._part.metric == "cosine":
            low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
        step = _steps((high - low) / (2 * _TOP))
        middle = (low + high) / 2
        if self._part.metric == "cosine":
            middle = np.rint(middle / step) * step
        self._take(_Model(middle, step))

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, the part's fingerprint, and the digest of what was learned."""
        return {**self._recipe(), "state": self._digest}

    def codes(self) -> Codes:
        """Of 8 bits with what was learned, or of 1 bit.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        import numpy as np

        known = self._known()
        if self.params.bits == 1:
            return _one_bit(self.dim)
        zero = -known.middle / known.step
        # That zero is a step must not be lost to rounding.
        whole = np.rint(zero)
        return Codes(8, known.step, whole if self._part.metric == "cosine" else zero)

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Quantise a batch, a column the part (`encoders.vectors`); other columns are ignored.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit` or `restore`; if the part is missing from the batch, or has
                another width.
        """
        import numpy as np

        known, codes = self._known(), self.codes()
        if self.params.bits == 1:
            return self._signs(batch, known.middle)
        values = vectors_of(batch, self._part)
        found = np.clip(np.rint(values / codes.scale + codes.zero), -_TOP, _TOP)
        return (codes.scale * (found - codes.zero)).astype(np.float32)

    def _written(self, model: _Model) -> State:
        """``middle (dim,)`` and ``step (dim,)``, float64."""
        return State({"middle": model.middle, "step": model.step}, {"bits": self.params.bits})

    def _read(self, state: State) -> _Model:
        expect(state, {"middle": (self.dim,), "step": (self.dim,)})
        if state.meta.get("bits") != self.params.bits:
            raise EncoderError(
                f"this is the state of a quantize encoder of {state.meta.get('bits')} bits, and "
                f"this one has {self.params.bits}; fit again"
            )
        return _Model(state.arrays["middle"], state.arrays["step"])


def _one_bit(dim: int) -> Codes:
    import numpy as np

    return Codes(1, np.ones(dim), np.zeros(dim))


def _steps(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps above 0: a dimension that does not vary gets the mean of the others'."""
    import numpy as np

    varies = found > 0
    usual = float(found[varies].mean()) if varies.any() else 1.0
    return np.where(varies, found, usual)


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe, where nothing has to be learned; None elsewhere.

    Raises:
        EncoderUsageError: if there is not exactly one part.
    """
    return None if _learns(params) else Signs(params).recipe()


def build(params: Params) -> Encoder:
    """Build the encoder; it must be fitted or restored first, unless signs are of zero.

    Raises:
        EncoderUsageError: if there is not exactly one part.
    """
    return Quantize(params) if _learns(params) else Signs(params)


def _learns(params: Params) -> bool:
    return params.bits != 1 or params.centre
