"""Recordings by a recurrent network over their log-mel spectrogram, learned from your records.

An LSTM (Hochreiter & Schmidhuber 1997), GRU or simple recurrent network hears the bands in their
order, in both directions. It learns from labels, such as the word that is said, or without any as
a sequence autoencoder (Srivastava, Mansimov & Salakhutdinov 2015; Dai & Le 2015): the vector of a
recording is then what a second network can unroll it from again, the last frame first.

See `encoders._recurrent` for the network, `encoders._recurrent_goals` for what it is asked, and
`encoders._warp` for how recordings are changed while it learns, so that it minds the voice less.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encoders import _streams, media
from encoders._bilm import bundle
from encoders._cached import bound, in_parts
from encoders._device import pick_device
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._mel import filters
from encoders._recordings import audio_libraries
from encoders._recurrent import Network, accept_copies, pack
from encoders._recurrent_params import Params
from encoders._steps import Bands, Reading, stacked
from encoders.base import EncoderUsageError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders._recurrent_training import Task
    from encoders._steps import Frames
    from encoders.base import Json, Metric, Modality
    from encoders.media import Audio

__all__ = ["MODALITY", "Lstm", "Params", "build"]

MODALITY: Modality = "audio"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_STEPS = 1 << 15
"""Of the network in memory at a time: some 150 MB with 64 units in two directions."""
_SPANS = 32
"""Stretches at a time in each stream of a processor."""
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class _Model:
    """All that turns recordings into vectors.

    Attributes:
        network: what reads them.
        reading: how they come to it.
        bands: their usual levels.
        usual: mean and deviation of the network's rows over the sample, ``(dim,)`` each.
    """

    network: Network
    reading: Reading
    bands: Bands
    usual: tuple[NDArray[np.float32], NDArray[np.float32]]

    def rows(self, frames: Sequence[Frames]) -> NDArray[np.float32]:
        """The network's own rows of recordings, ``(n, dim)`` float32, not standardised."""
        import torch

        spans = [
            (row, span) for row, heard in enumerate(frames) for span in self.reading.spans(heard)
        ]
        order = sorted(range(len(spans)), key=lambda at: len(spans[at][1]))
        device = str(self.network.weights["project.bias"].device)
        found = np.zeros((len(frames), self.network.shape.dim), np.float32)
        sizes = [-(-len(spans[at][1]) // self.reading.stack) for at in order]
        parts = [
            [spans[at] for at in part]
            for cut in bundle(sizes, _STEPS)
            for part in in_parts(order[cut], bound(device, _SPANS) or len(order))
        ]

        def read(part: list[tuple[int, Frames]]) -> NDArray[np.float32]:
            steps = [stacked(self.bands.standard(span), self.reading.stack) for _, span in part]
            with torch.no_grad():
                rows: NDArray[np.float32] = self.network(pack(steps, device)).cpu().numpy()
            return rows

        for part, vectors in zip(parts, _streams.mapped(read, parts, device), strict=True):
            for (row, span), vector in zip(part, vectors, strict=True):
                found[row] += vector * (len(span) / len(frames[row]))
        return found

    def vectors(self, frames: Sequence[Frames], *, normalize: bool) -> NDArray[np.float32]:
        """The vectors of recordings, ``(n, dim)`` float32."""
        mean, scale = self.usual
        found = (self.rows(frames) - mean) / scale
        if normalize:
            norms = np.linalg.norm(found, axis=1, keepdims=True)
            found /= np.where(norms > 0, norms, 1)
        return found


@dataclass(frozen=True)
class _Learnt:
    model: _Model
    figures: Json


class Lstm(Learned[_Learnt]):
    """Recordings to ``(n, dim)`` float32."""

    modality: ClassVar[Modality] = "audio"
    metric: Metric = "cosine"
    fit_size = 4000  # of short recordings; the decoded sample is in memory
    kind = "lstm"
    nothing = "has learned no network yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._params = params
        self._reading = params.reading()
        self.batch_size = params.batch_size
        self.label = params.label
        filters(self._reading.mel)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._params.dim

    def fit(self, sample: Sequence[Audio], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn to unroll recordings, until those held out come out no better.

        Raises:
            EncoderUsageError: if the encoder is to learn from labels.
            EncoderError: if there are too few recordings, or the fit diverges.
            MediaError: if one holds NaN or infinity.
        """
        from encoders._recurrent_goals import Again
        from encoders._recurrent_training import Task

        params = self._params
        if params.label is not None:
            raise EncoderUsageError(
                f"this lstm learns from the labels in {params.label!r}, and none were given: call "
                "fit_labelled, or leave label out to learn without"
            )
        goal = Again(params.cell, params.hidden * 2, self._reading.features)
        self._learn(sample, Task.unlabelled(len(sample), goal, params.held_out, rng), rng, watch)

    def fit_labelled(
        self,
        sample: Sequence[Audio],
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn to tell labels, until those of recordings held out are told no better.

        Raises:
            EncoderError: if there are too few recordings or classes, or the fit diverges.
            MediaError: if a recording holds NaN or infinity.
        """
        from encoders._recurrent_training import Task

        task = Task.labelled(labels, self._params.held_out, rng, watch)
        self._learn(sample, task, rng, watch)

    def _written(self, model: _Learnt) -> State:
        """The weights as torch names them, float32, and the usual levels of bands and rows."""
        known = model.model
        arrays: dict[str, NDArray[Any]] = {
            name: weight.cpu().numpy() for name, weight in known.network.weights.items()
        }
        usual = {"bands": (known.bands.mean, known.bands.scale), "rows": known.usual}
        for name, (mean, scale) in usual.items():
            arrays |= {f"{name}.mean": mean, f"{name}.scale": scale}
        return State(arrays, {"figures": model.figures})

    def _read(self, state: State) -> _Learnt:
        import torch

        shape = self._params.shape()
        statistics = {
            f"{name}.{part}": (width,)
            for name, width in (("bands", self._params.mels), ("rows", shape.dim))
            for part in ("mean", "scale")
        }
        expect(state, shape.weights() | statistics)
        device = pick_device(self._params.device)
        accept_copies(device)
        weights = {
            name: torch.tensor(state.arrays[name], device=device) for name in shape.weights()
        }
        bands, usual = (
            (state.arrays[f"{name}.mean"], state.arrays[f"{name}.scale"])
            for name in ("bands", "rows")
        )
        model = _Model(Network(shape, weights), self._reading, Bands(*bands), usual)
        return _Learnt(model, state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, decoders, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self._params)
        for name in ("device", "batch_size"):
            del params[name]
        return {
            "kind": "lstm",
            "code": REVISION,
            "decoding": media.REVISION,
            "params": params,
            "libraries": {**majors("torch"), **audio_libraries()},
            "state": self._digest,
        }

    def encode(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        """Encode recordings of any rate and length, read to their end.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit`, `fit_labelled` or `restore`.
            MediaError: if a recording holds NaN or infinity.
        """
        model = self._known().model
        frames = list(self._reading.frames(batch))
        return model.vectors(frames, normalize=self._params.normalize)

    def _learn(
        self, sample: Sequence[Audio], task: Task, rng: np.random.Generator, watch: Watch
    ) -> None:
        from encoders._recurrent_training import learn
        from encoders._repeatable import one_core

        params, device = self._params, pick_device(self._params.device)
        accept_copies(device)
        frames = list(self._reading.frames(sample))
        nothing = (np.zeros(self.dim, np.float32), np.ones(self.dim, np.float32))
        with one_core():
            learned = learn(
                frames,
                task,
                params.shape(),
                self._reading,
                params.objective(),
                rng,
                device,
                watch=watch,
            )
            model = _Model(learned.network, self._reading, learned.bands, nothing)
            rows = model.rows([frames[row] for row in task.train])
        spread = rows.std(axis=0)
        usual = (rows.mean(axis=0), np.where(spread > _LEAST_SPREAD, spread, np.float32(1)))
        self._take(_Learnt(replace(model, usual=usual), learned.figures))


def build(params: Params) -> Lstm:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """
    return Lstm(params)
