"""Text by the Universal Sentence Encoder, or any TensorFlow saved model from strings to vectors.

Cer et al. 2018, "Universal Sentence Encoder". TensorFlow is never imported here: a process of its
own runs the model, by the interpreter of whichever environment has TensorFlow.

A saved model is a program: it may read and write files as you may. Name none that you do not trust.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from encoders._paths import as_path
from encoders._saved_model import digest_files, runner
from encoders._use_worker import MAJOR
from encoders.base import EncoderError, EncoderUsageError, Json, Metric, Modality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MODALITY: Modality = "text"
PATHS = ("model", "python")
REVISION = 1
"""To be raised with any change of this file, `_saved_model` or `_use_worker` in the vectors."""

_INSTALL = (
    "uv venv .venv-use && uv pip install --python .venv-use/bin/python 'tensorflow-cpu>=2.20' "
    '(or with python -m venv and pip), and set python = ".venv-use/bin/python"'
)


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "use"``.

    Attributes:
        model: the folder of a saved model, with ``saved_model.pb`` in it. From Python, a relative
            path begins with ``./`` or ``../``.
        python: the interpreter of an environment with TensorFlow 2; by default this one, if it
            has TensorFlow.
        normalize: give vectors of L2 norm 1; those of the published models nearly are.
        timeout: seconds that the model may take to load, and that a batch may take.
        batch_size: texts that run through the model at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    model: str
    python: str | None = None
    normalize: bool = True
    timeout: float = 600.0
    batch_size: int = 128

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout must be some seconds, more than 0, got {self.timeout}")


class UseEncoder:
    """A saved model, digested; its process starts when the first vector is wanted."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        folder = _located(params)
        files = digest_files(folder)
        self._recipe = _recipe(files, params)
        self._params = params
        self._runner = runner(_interpreter(params.python), folder, files)
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors, 512 of the published models.

        Raises:
            EncoderError: if the model cannot be run.
        """
        return self._runner.dim(self._params.timeout)

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off.

        Raises:
            EncoderError: if the model cannot be run.
            TimeoutError: if a batch takes longer than ``timeout``.
            RuntimeError: if the model fails on a batch.
        """
        vectors = np.empty((len(batch), self.dim), dtype=np.float32)
        for start in range(0, len(batch), self.batch_size):
            part = slice(start, start + self.batch_size)
            vectors[part] = self._runner.embed(batch[part], self._params.timeout)
        if not self._params.normalize:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit


def build(params: Params) -> UseEncoder:
    """Digest a model's files, which takes seconds for a large one; TensorFlow starts later.

    Raises:
        EncoderError: if the model or the interpreter is not there, or has no TensorFlow.
    """
    return UseEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, for which no TensorFlow is needed.

    Raises:
        EncoderError: if there is no such model.
    """
    return _recipe(digest_files(_located(params)), params)


def _recipe(files: dict[str, str], params: Params) -> dict[str, Json]:
    return {
        "kind": "use",
        "code": REVISION,
        "files": dict(files),
        "normalize": params.normalize,
        # What a graph means is promised for a major version; the process refuses any other.
        "libraries": {"tensorflow": MAJOR},
    }


def _located(params: Params) -> Path:
    folder = as_path(params.model)
    if folder is None or not folder.is_dir():
        raise EncoderUsageError(
            f"model {params.model!r} is no folder here; expected the path of a TensorFlow saved "
            "model (absolute, or in a configuration from the project folder): download and unpack "
            "it first, as docs/encoders/use.md shows"
        )
    return folder


def _interpreter(python: str | None) -> str:
    if python is None:
        if importlib.util.find_spec("tensorflow") is None:
            raise EncoderError(
                "kind 'use' needs TensorFlow, which is not installed beside Vecmill; give it an "
                f"environment of its own: {_INSTALL}"
            )
        return sys.executable
    path = as_path(python)
    if path is None or not (path.is_file() and os.access(path, os.X_OK)):
        raise EncoderUsageError(
            f"python = {python!r} is no interpreter here; expected the path of one whose "
            f"environment has TensorFlow: {_INSTALL}"
        )
    return str(path)
