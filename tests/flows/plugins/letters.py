"""A text encoder for tests of the pipeline: cheap, exact, and it fails where a text says so."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "text"


@dataclass(frozen=True)
class Params:
    """The keys of the encoder.

    Attributes:
        log: a file that is told of every text encoded; not part of the recipe.
        revision: changes the vectors, and so the fingerprint.
        breach: a way to break the contract: ``rows``, ``width``, ``float64``, ``list``,
            ``raises``, ``refuses``, ``outage`` (a cut connection), ``slow``, ``hangs``,
            ``turns`` (other vectors, of which the recipe does not tell), ``dies`` (the whole
            process, after some texts), or ``falls`` (as that, but once only).
    """

    log: str
    dim: int = 8
    revision: int = 1
    metric: str = "cosine"
    batch_size: int = 4
    breach: str = ""


class Letters:
    """``(n, dim)`` float32, drawn for each text from a seed that is the text."""

    modality: ClassVar[Modality] = "text"

    def __init__(self, params: Params) -> None:
        self.params = params
        self.metric: Metric = params.metric  # type: ignore[assignment] # tests name real ones
        self.batch_size = params.batch_size
        self.dim = params.dim

    def recipe(self) -> dict[str, Json]:
        """All but the log and the breach."""
        return {
            "kind": "letters",
            "dim": self.dim,
            "revision": self.params.revision,
            "metric": self.metric,
        }

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts; one that holds ``FAIL`` raises, one that holds ``NAN`` gives NaN."""
        if self.params.breach == "refuses":
            raise EncoderError("the weights are gone")
        if self.params.breach == "outage":
            raise ConnectionError("the model's host hung up")
        if self.params.breach in {"slow", "hangs"}:
            time.sleep(0.5 if self.params.breach == "slow" else 10_000)
        if self.params.breach == "dies" and len(self._known()) > 20:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.params.breach == "falls" and len(self._known()) > 20 and self._falls():
            os.kill(os.getpid(), signal.SIGKILL)
        if self.params.breach == "raises":
            raise RuntimeError("out of order")
        bad = [text for text in batch if "FAIL" in text]
        if bad:
            raise ValueError(f"cannot encode {bad[0]!r}")
        with Path(self.params.log).open("a", encoding="utf-8") as log:
            log.writelines(json.dumps(text) + "\n" for text in batch)
        vectors = [vector_of(text, self.dim, self.params.revision) for text in batch]
        broken: NDArray[np.float32] = self._breach(
            np.array(vectors, np.float32).reshape(-1, self.dim)
        )
        return broken

    def _known(self) -> list[str]:
        log = Path(self.params.log)
        return log.read_text("utf-8").splitlines() if log.exists() else []

    def _falls(self) -> bool:
        """Whether nobody has fallen yet, of all processes."""
        try:
            Path(self.params.log).with_suffix(".fallen").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _breach(self, right: NDArray[np.float32]) -> Any:  # noqa: ANN401 - wrong on purpose
        ways: dict[str, Any] = {
            "rows": right[:-1],
            "width": right[:, :-1],
            "float64": right.astype(np.float64),
            "list": right.tolist(),
            "turns": -right[:, ::-1],
        }
        return ways.get(self.params.breach, right)


def vector_of(text: str, dim: int = 8, revision: int = 1) -> NDArray[np.float32]:
    """The vector of one text, ``(dim,)`` float32."""
    if "NAN" in text:
        return np.full(dim, np.nan, np.float32)
    key = blake2b(f"{revision} {text}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(key)).standard_normal(dim).astype(np.float32)


def build(params: Params) -> Letters:
    """Build the encoder."""
    return Letters(params)
