"""The first dimensions of a feature's vectors, of models that were trained to be cut.

Matryoshka representation learning (Kusupati et al. 2022) trains the first k dimensions of a vector
to be a good vector by themselves, for several k at once, so that vectors can be cut afterwards.
Main directions that come in their order, as of a principal component analysis, can be cut as well.
Of any other model the first dimensions are as good as any others, and an encoder over such vectors
has to be asked for by name: ``matryoshka = true`` says that the model was trained so, which no file
of a model tells in a way that could be relied on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders._one_part import one_part, unit, vectors_of
from encoders._ranges import check_counts
from encoders.base import EncoderUsageError
from encoders.vectors import Part  # noqa: TC001 - pydantic reads the annotations

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Encoder, Json, Metric, Modality

MODALITY: Modality = "vector"
NESTED = True
REVISION = 1
"""Raised whenever equal parameters would give other vectors than before."""

_LARGEST = 3e38
"""What a float32 holds."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]``.

    Attributes:
        dim: how many dimensions are kept.
        matryoshka: that the model behind the feature was trained to be cut; not needed where its
            kind has its main directions first.
        batch_size: records at a time.
        parts: the feature that the encoder is over; a run fills it in from the feature's ``over``,
            so a configuration leaves it out.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int
    matryoshka: bool = False
    batch_size: int = 4096
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "batch_size"))


class Truncate:
    """Vectors of one feature to their first dimensions, ``(n, dim)`` float32.

    Of norm 1 again where the feature's metric is cosine, which stays the metric; zero where a
    record has no vector, or nothing in those dimensions.
    """

    modality: Modality = "vector"

    def __init__(self, params: Params) -> None:
        self._part = _checked(params)
        self.params = params
        self.batch_size = params.batch_size
        self.metric: Metric = self._part.metric

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.params.dim

    def recipe(self) -> dict[str, Json]:
        """Kind, code, width, and the part's fingerprint."""
        return _recipe(self.params, self._part)

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Cut a batch, a column the part (`encoders.vectors`); other columns are ignored.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: if the part is missing from the batch, or has another width.
        """
        import numpy as np

        cut = vectors_of(batch, self._part)[:, : self.dim]
        if self.metric == "cosine":
            cut = unit(cut)
        return np.clip(cut, -_LARGEST, _LARGEST).astype(np.float32)


def _checked(params: Params) -> Part:
    """The part.

    Raises:
        EncoderUsageError: if it is not one that can be cut so.
    """
    part = one_part("truncate", params.parts)
    if params.dim > part.dim:
        raise EncoderUsageError(
            f"vectors of {part.feature!r} are {part.dim} wide, so that the first {params.dim} "
            "dimensions cannot be kept of them; set a dim below that"
        )
    if not (part.nested or params.matryoshka):
        raise EncoderUsageError(
            f"vectors of {part.feature!r} are not known to have their main directions first, so "
            f"that the first {params.dim} of {part.dim} dimensions might be any; where its model "
            "was trained to be cut (Matryoshka; the card of the model says so), set matryoshka = "
            f"true, else reduce it by kind 'pca'. `vecmill dims {part.feature}` measures both"
        )
    return part


def _recipe(params: Params, part: Part) -> dict[str, Json]:
    return {
        "kind": "truncate",
        "revision": REVISION,
        "dim": params.dim,
        "unit": part.metric == "cosine",
        "parts": [part.recipe()],
    }


def recipe(params: Params) -> dict[str, Json]:
    """The recipe.

    Raises:
        EncoderUsageError: if the part cannot be cut so.
    """
    return _recipe(params, _checked(params))


def build(params: Params) -> Encoder:
    """Build the encoder.

    Raises:
        EncoderUsageError: if there is not exactly one part, it is narrower, or is not known to be
            made to be cut.
    """
    return Truncate(params)
