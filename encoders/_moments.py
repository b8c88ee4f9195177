"""Recordings by the moments of their features over time, standardised: one vector each.

What is heard frame by frame, a matrix, becomes the mean and the standard deviation of each
column, of its slope and of its curvature over the recording, then the means over equal parts of
the time, which keep some of the order of what is heard. The parts are measured from the mean of
the whole, so that the voice and the microphone, which are in all of them, count once: strange
voices are then told apart less.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from encoders import media
from encoders._cepstrum import deltas
from encoders._recordings import audio_libraries, check_finite
from encoders.base import EncoderError, State, digest
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality
    from encoders.media import Audio

_CURVATURE = 2
_LEAST_SAMPLE = 2
_LEAST_SPREAD = 1e-6


class Features(Protocol):
    """Makes features of a recording over time."""

    def __call__(self, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Of samples ``(n,)`` at a rate in Hz: ``(frames, columns)`` float32."""
        ...


def pool(matrix: NDArray[np.float32], segments: int) -> NDArray[np.float32]:
    """Sum features over time up in one row.

    Args:
        matrix: ``(frames, c)`` float32, as `Features` gives it.
        segments: the parts of the time.

    Returns:
        ``((6 + 2 * segments) * c,)`` float32: means of the columns, slopes and curvatures, their
        standard deviations, then part by part the means of the columns, less those of the
        whole, and of the slopes.
    """
    import numpy as np

    slopes = deltas(matrix, 1)
    tracks = (matrix, slopes, deltas(matrix, _CURVATURE))
    means = [track.mean(axis=0, dtype=np.float64) for track in tracks]
    deviations = [track.std(axis=0, dtype=np.float64) for track in tracks]
    levels = _part_means(matrix, segments) - means[0]
    parts = np.hstack([levels, _part_means(slopes, segments)])
    return np.concatenate([*means, *deviations, *parts]).astype(np.float32)


def _part_means(matrix: NDArray[np.float32], parts: int) -> NDArray[np.float64]:
    """Means over equal parts of the time; a frame on a border counts to both by its share."""
    import numpy as np

    borders = np.linspace(0, len(matrix), parts + 1)
    whole = np.minimum(borders.astype(np.int64), len(matrix) - 1)
    sums = np.zeros((len(matrix) + 1, matrix.shape[1]))
    np.cumsum(matrix, axis=0, dtype=np.float64, out=sums[1:])
    reached = sums[whole] + (borders - whole)[:, None] * matrix[whole]
    return np.diff(reached, axis=0) * (parts / len(matrix))


class Moments:
    """Recordings to ``(n, (6 + 2 * segments) * columns)`` float32, standardised.

    One fit sample's mean and deviation become 0 and 1 in every dimension.

    Args:
        kind: the encoder kind.
        revision: of its code.
        params: its parameters, a dataclass with ``batch_size`` and ``segments``.
        features: what is heard, frame by frame.
        columns: how many features a frame has.
    """

    modality: ClassVar[Modality] = "audio"
    metric: Metric = "cosine"
    fit_size = 256  # a deviation is then right to 5 %, and the decoded sample fits in memory

    def __init__(
        self,
        kind: str,
        revision: int,
        params: Any,  # noqa: ANN401 - as above
        features: Features,
        columns: int,
    ) -> None:
        self.batch_size: int = params.batch_size
        self._kind, self._revision, self._params = kind, revision, params
        self._features, self._columns = features, columns
        self._state: State | None = None

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return (6 + 2 * int(self._params.segments)) * self._columns

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._state is not None

    def fit(self, sample: Sequence[Audio], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Take the mean and deviation of each dimension from a sample.

        Raises:
            EncoderError: if there are under two recordings.
        """
        import numpy as np

        del rng, watch  # nothing here is left to chance, nor takes long
        if len(sample) < _LEAST_SAMPLE:
            raise EncoderError(
                f"{self._kind} needs {_LEAST_SAMPLE} recordings or more to learn from, "
                f"got {len(sample)}"
            )
        rows = self._pooled(sample).astype(np.float64)
        spread = rows.std(axis=0)
        scale = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        self._state = State({"mean": rows.mean(axis=0), "scale": scale}, {"kind": self._kind})

    def state(self) -> State:
        """The mean and the scale, ``(dim,)`` float64 each.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        if self._state is None:
            raise EncoderError(f"{self._kind} has learned no scale yet: call fit or restore first")
        return _copy(self._state)

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            EncoderError: if it is not that of an encoder of this kind and width.
        """
        shapes = {name: array.shape for name, array in state.arrays.items()}
        expected = {"mean": (self.dim,), "scale": (self.dim,)}
        if state.meta.get("kind") != self._kind or shapes != expected:
            raise EncoderError(
                f"this is not the state of {self._kind} with these parameters: got "
                f"{state.meta.get('kind')} with {shapes}, expected {self._kind} with {expected}"
            )
        self._state = _copy(state)

    def recipe(self) -> dict[str, Json]:
        """Kind, code, decoders, parameters, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self._params)
        del params["batch_size"]  # does not change the vectors
        return {
            "kind": self._kind,
            "revision": self._revision,
            "decoding": media.REVISION,
            "params": params,
            "libraries": audio_libraries(),
            "state": None if self._state is None else digest(self._state),
        }

    def encode(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        """Encode recordings of any rate and length.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit` or `restore`.
            MediaError: if a recording holds NaN or infinity.
        """
        import numpy as np

        learned = self.state().arrays
        standard = (self._pooled(batch) - learned["mean"]) / learned["scale"]
        return np.asarray(standard, dtype=np.float32)

    def _pooled(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        import numpy as np

        rows = np.empty((len(batch), self.dim), np.float32)
        for row, audio in enumerate(batch):
            check_finite(audio, row)
            rows[row] = pool(self._features(audio.samples, audio.rate), self._params.segments)
        return rows


def _copy(state: State) -> State:
    """So that a caller who writes into the arrays of a state does not change the encoder."""
    return State({name: array.copy() for name, array in state.arrays.items()}, dict(state.meta))
