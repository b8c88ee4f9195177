"""An encoder over a model of two towers: one reads the records, the other what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np

from encoders import _hub
from encoders._code import check_code
from encoders._pictures import unit
from encoders._precision import Dtype, resolved
from encoders._towers import files_recipe
from encoders.abilities import Truncated
from encoders.base import EncoderUsageError, Json, Metric, Modality
from encoders.wording import check_wording, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._towers import Towers


class Keys(Protocol):
    """The parameters that every kind of two towers has; see `encoders.clip.Params`."""

    @property
    def model(self) -> str: ...
    @property
    def reads(self) -> Modality: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def prompt(self) -> str: ...
    @property
    def normalize(self) -> bool: ...
    @property
    def dtype(self) -> Dtype: ...
    @property
    def device(self) -> str: ...
    @property
    def batch_size(self) -> int: ...


def check(params: Keys, reads: tuple[Modality, ...]) -> None:
    """Refuse parameters out of their range.

    Raises:
        ValueError: names the key.
    """
    if params.batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {params.batch_size}")
    for name, allowed in {"reads": reads, "dtype": get_args(Dtype)}.items():
        value = getattr(params, name)
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    check_wording("prompt", params.prompt)


def located(params: Keys) -> Path:
    """The folder of the checkpoint.

    Raises:
        EncoderError: if it is nowhere to be had, or wants code of its own to be run.
    """
    folder = _hub.locate(params.model, params.revision, checkpoint=True)
    check_code(folder, trusted=False)
    return _hub.transformer_folder(folder)


def recipe(params: Keys, folder: Path) -> dict[str, Json]:
    """What decides the vectors of every kind of two towers.

    The prompt of an encoder that does not read texts decides no vector that is kept.
    """
    return {
        "reads": params.reads,
        **files_recipe(folder, normalize=params.normalize),
        "normalize": params.normalize,
        "prompt": params.prompt if params.reads == "text" else None,
        "dtype": resolved(params.dtype, params.device),
    }


@dataclass(frozen=True)
class Sense:
    """The tower that does not read texts.

    Attributes:
        modality: what it takes.
        encode: a batch of that and the batch size, to ``(n, dim)`` float32, not yet of norm 1.
    """

    modality: Modality
    encode: Callable[[Sequence[Any], int], NDArray[np.float32]]


class Bridge:
    """Records of one modality, and queries of the other, in one space."""

    metric: Metric = "cosine"

    def __init__(
        self,
        params: Keys,
        towers: Towers,
        sense: Sense,
        recipe: Callable[[], dict[str, Json]],
    ) -> None:
        self._params, self._towers, self._sense = params, towers, sense
        self._recipe = recipe
        self.batch_size = params.batch_size

    @property
    def modality(self) -> Modality:
        """What the records are."""
        return self._params.reads

    @property
    def others(self) -> tuple[Modality, ...]:
        """What the other tower takes."""
        return (self._sense.modality if self.modality == "text" else "text",)

    @property
    def dim(self) -> int:
        """The width of the space."""
        return self._towers.dim

    @property
    def scale(self) -> float:
        """See `encoders.abilities.Bridging`; 1 / temperature, at most 100 in CLIP."""
        return self._towers.scale

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return self._recipe()

    def encode(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Encode records, as ``reads`` says: ``(n, dim)`` float32.

        The vectors have L2 norm 1, where ``normalize`` is not off.

        Raises:
            EncoderError: if an image is not RGB.
            MediaError: if a recording holds NaN or infinity.
        """
        return self._encode(self.modality, batch)

    def encode_other(self, modality: Modality, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Encode by the other tower, as `encode` does records.

        Raises:
            EncoderUsageError: if the model has no tower for that.
            EncoderError, MediaError: as `encode`.
        """
        if modality not in self.others:
            raise EncoderUsageError(
                f"{self._params.model!r} puts {self.others[0]} beside {self.modality}, got "
                f"{modality!r}"
            )
        return self._encode(modality, batch)

    def truncated(self, batch: Sequence[Any]) -> Truncated:
        """How much of some texts the model does not read, prompt and all; the rest it takes in."""
        if self.modality != "text" or len(batch) == 0:
            return Truncated()
        texts = worded(self._params.prompt, batch)
        return Truncated.of(self._towers.lengths(texts), self._towers.limit)

    def _encode(self, modality: Modality, batch: Sequence[Any]) -> NDArray[np.float32]:
        if len(batch) == 0:
            return np.empty((0, self.dim), np.float32)
        if modality == "text":
            rows = self._towers.texts(worded(self._params.prompt, batch), self.batch_size)
        else:
            rows = self._sense.encode(batch, self.batch_size)
        return unit(rows) if self._params.normalize else rows
