"""Mel-frequency cepstral coefficients, pooled over time: a small, fast vector for a recording.

A vector holds the mean and the standard deviation of each coefficient, of its slope and of its
curvature over the recording, then the means over equal parts of the time, which keep some of the
order of what is heard. The parts are measured from the mean of the whole, so that the voice and
the microphone, which are in all of them, count once: strange voices are then told apart less.

Coefficient 0, the loudness, varies many times as much as the last: every dimension is therefore
standardised with the mean and deviation of a fit sample. The distance is the cosine of what is
left: two recordings are near if they differ from the usual in the same way, however strongly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from encoders import media
from encoders._cepstrum import deltas, filters, mfcc
from encoders._libraries import majors
from encoders.base import EncoderError, State, digest
from encoders.media import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality
    from encoders.media import Audio

__all__ = ["MODALITY", "Mfcc", "Params", "build", "deltas", "mfcc", "pool"]

MODALITY: Modality = "audio"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_CURVATURE = 2
_LEAST_SAMPLE = 2
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]``.

    Attributes:
        rate: Hz that every recording is resampled to.
        coefficients: how many are kept of the cepstrum, the loudness among them.
        mels: bands of the mel filter bank.
        window_ms: length of a frame, in ms.
        hop_ms: from one frame to the next, in ms.
        fmin: lowest frequency, Hz.
        fmax: highest frequency, Hz; half the rate if left out.
        top_db: what is quieter than a recording's loudest band by more than this is raised to
            it, so that digital silence and faint noise look alike.
        segments: equal parts of the time whose means are in the vector.
        batch_size: recordings encoded at a time; their samples are in memory together.

    Raises:
        ValueError: if a value is out of its range.
    """

    rate: int = 16_000
    coefficients: int = 20
    mels: int = 40
    window_ms: float = 25.0
    hop_ms: float = 10.0
    fmin: float = 0.0
    fmax: float | None = None
    top_db: float = 50.0
    segments: int = 4
    batch_size: int = 16

    def __post_init__(self) -> None:
        whole = {"coefficients": 1, "mels": 1, "segments": 1, "batch_size": 1, "rate": 1000}
        for name, least in whole.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.coefficients > self.mels:
            raise ValueError(
                f"coefficients must be at most mels, got {self.coefficients} of {self.mels} bands"
            )
        if not 0 < self.hop_ms <= self.window_ms:
            raise ValueError(
                "hop_ms and window_ms must be 0 < hop_ms <= window_ms, "
                f"got {self.hop_ms} and {self.window_ms}"
            )
        if min(self.window, self.hop) < 1:
            raise ValueError(
                f"hop_ms {self.hop_ms} is less than a sample at {self.rate} Hz: make it longer"
            )
        if not 0 <= self.fmin < self.top_frequency <= self.rate / 2:
            raise ValueError(
                f"fmin and fmax must be 0 <= fmin < fmax <= {self.rate / 2:g} Hz, half the rate, "
                f"got {self.fmin} and {self.fmax}"
            )
        if self.top_db <= 0:
            raise ValueError(f"top_db must be positive, got {self.top_db}")

    @property
    def window(self) -> int:
        """Length of a frame in samples."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """From one frame to the next, in samples."""
        return round(self.rate * self.hop_ms / 1000)

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the power of two that holds a frame."""
        return 1 << (self.window - 1).bit_length()

    @property
    def top_frequency(self) -> float:
        """``fmax``, or half the rate."""
        return self.rate / 2 if self.fmax is None else self.fmax


def pool(matrix: NDArray[np.float32], segments: int) -> NDArray[np.float32]:
    """Sum coefficients over time up in one row.

    Args:
        matrix: ``(frames, c)`` float32, as `mfcc` gives it.
        segments: the parts of the time.

    Returns:
        ``((6 + 2 * segments) * c,)`` float32: means of the coefficients, slopes and curvatures,
        their standard deviations, then part by part the means of the coefficients, less those
        of the whole, and of the slopes.
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


class Mfcc:
    """Recordings to ``(n, (6 + 2 * segments) * coefficients)`` float32, standardised.

    One fit sample's mean and deviation become 0 and 1 in every dimension.
    """

    modality: ClassVar[Modality] = "audio"
    metric: Metric = "cosine"
    fit_size = 256  # a deviation is then right to 5 %, and the decoded sample fits in memory

    def __init__(self, params: Params) -> None:
        self.params = params
        self.batch_size = params.batch_size
        self._state: State | None = None
        filters(params)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return (6 + 2 * self.params.segments) * self.params.coefficients

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._state is not None

    def fit(self, sample: Sequence[Audio], rng: np.random.Generator) -> None:
        """Take the mean and deviation of each dimension from a sample.

        Raises:
            EncoderError: if there are under two recordings.
        """
        import numpy as np

        del rng  # nothing here is left to chance
        if len(sample) < _LEAST_SAMPLE:
            raise EncoderError(
                f"mfcc needs {_LEAST_SAMPLE} recordings or more to learn from, got {len(sample)}"
            )
        rows = self._pooled(sample).astype(np.float64)
        spread = rows.std(axis=0)
        scale = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        self._state = State({"mean": rows.mean(axis=0), "scale": scale}, {"kind": "mfcc"})

    def state(self) -> State:
        """The mean and the scale, ``(dim,)`` float64 each.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        if self._state is None:
            raise EncoderError("mfcc has learned no scale yet: call fit or restore first")
        return _copy(self._state)

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            EncoderError: if it is not that of an mfcc encoder of this width.
        """
        shapes = {name: array.shape for name, array in state.arrays.items()}
        expected = {"mean": (self.dim,), "scale": (self.dim,)}
        if state.meta.get("kind") != "mfcc" or shapes != expected:
            raise EncoderError(
                f"this is not the state of an mfcc encoder with these parameters: got "
                f"{state.meta.get('kind')} with {shapes}, expected mfcc with {expected}"
            )
        self._state = _copy(state)

    def recipe(self) -> dict[str, Json]:
        """Kind, code, decoders, parameters, and the digest of what was learned (None before)."""
        from soundfile import __libsndfile_version__ as libsndfile

        params: dict[str, Json] = asdict(self.params)
        del params["batch_size"]  # does not change the vectors
        learned = digest(self._state) if self._state is not None else None
        return {
            "kind": "mfcc",
            "revision": REVISION,
            "decoding": media.REVISION,
            "params": params,
            "libraries": {**majors("soundfile"), "libsndfile": libsndfile.split(".")[0]},
            "state": learned,
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
            if not np.isfinite(audio.samples).all():
                raise MediaError(f"recording {row} of the batch holds NaN or infinite samples")
            coefficients = mfcc(audio.samples, audio.rate, self.params)
            rows[row] = pool(coefficients, self.params.segments)
        return rows


def _copy(state: State) -> State:
    """So that a caller who writes into the arrays of a state does not change the encoder."""
    return State({name: array.copy() for name, array in state.arrays.items()}, dict(state.meta))


def build(params: Params) -> Mfcc:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """
    return Mfcc(params)
