"""What encoders of recordings share: what they refuse, and what decodes for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders._libraries import majors
from encoders.media import MediaError

if TYPE_CHECKING:
    from encoders.base import Json
    from encoders.media import Audio


def check_finite(audio: Audio, row: int) -> None:
    """Refuse a recording of NaN or infinity.

    Args:
        audio: the recording.
        row: its place in the batch, for the error.

    Raises:
        MediaError: if it is one.
    """
    import numpy as np

    if not np.isfinite(audio.samples).all():
        raise MediaError(f"recording {row} of the batch holds NaN or infinite samples")


def audio_libraries() -> dict[str, Json]:
    """What decodes recordings, and its major versions: a part of every recipe for them."""
    from soundfile import __libsndfile_version__ as libsndfile

    return {**majors("soundfile"), "libsndfile": libsndfile.split(".")[0]}
