"""A TensorFlow saved model: which of its files decide, and a process that runs it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from encoders import _use_worker
from encoders._child import Child, DiedError
from encoders._hub import sha256
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_BESIDE = ("variables", "assets")
_OF_HUB = "tfhub_module.pb"
_KILLED = -9

_RUNNERS: WeakValueDictionary[tuple[str, str, str], Runner] = WeakValueDictionary()
_SHARING = threading.Lock()


def digest_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that decides what a saved model gives, by its path inside the folder.

    Raises:
        EncoderError: if it is no saved model.
    """
    if not any((folder / name).is_file() for name in _GRAPHS):
        raise EncoderError(
            f"{folder} is no saved model of TensorFlow: it has no {_GRAPHS[0]}; expected the "
            "unpacked folder, with saved_model.pb and variables/ in it"
        )
    beside = [file for name in _BESIDE for file in (folder / name).rglob("*") if file.is_file()]
    own = [folder / name for name in (*_GRAPHS, _OF_HUB) if (folder / name).is_file()]
    return {file.relative_to(folder).as_posix(): sha256(file) for file in sorted([*own, *beside])}


def runner(python: str, folder: Path, files: dict[str, str]) -> Runner:
    """The process for a model in this one: encoders of equal models share it while they live."""
    key = (python, str(folder), repr(sorted(files.items())))
    with _SHARING:
        found = _RUNNERS.get(key)
        if found is None:
            found = _RUNNERS[key] = Runner(python, folder, files)
        return found


class Runner:
    """Runs a saved model by another interpreter; started when it is first needed, and again."""

    def __init__(self, python: str, folder: Path, files: dict[str, str]) -> None:
        self._python = python
        self._folder = folder
        self._files = files
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._dim: int | None = None

    def dim(self, seconds: float) -> int:
        """The width of the vectors; starts the process if it has not been yet.

        Raises:
            EncoderError: if the model cannot be run, or does not start in that time.
        """
        with self._lock:
            if self._dim is None:
                self._child = self._started(seconds)
            return self._dim or 0

    def embed(self, texts: Sequence[str], seconds: float) -> NDArray[np.float32]:
        """The vectors of some texts ``(n, dim)``. A process that dies is started once more.

        Raises:
            EncoderError: if the model cannot be run, or does not start in that time.
            TimeoutError: if the texts take longer.
            MemoryError: if they need more memory than there is.
            RuntimeError: if the model fails on them.
        """
        with self._lock:
            try:
                head, body = self._ask(texts, seconds)
            except DiedError:
                head, body = self._ask_again(texts, seconds)
        if "failed" in head:
            why = f"TensorFlow failed on {_texts(texts)}: {head['failed']}"
            raise MemoryError(why) if head["memory"] else RuntimeError(why)
        vectors: NDArray[np.float32] = np.frombuffer(body, dtype="<f4").reshape(head["shape"])
        return vectors

    def _ask_again(self, texts: Sequence[str], seconds: float) -> tuple[dict[str, Any], bytes]:
        try:
            return self._ask(texts, seconds)
        except DiedError as died:
            why = f"the process of TensorFlow ended twice over {_texts(texts)} ({died})"
            if died.status == _KILLED:
                raise MemoryError(f"{why}: most likely there was not enough memory") from None
            raise RuntimeError(why) from None

    def _ask(self, texts: Sequence[str], seconds: float) -> tuple[dict[str, Any], bytes]:
        child = self._child = self._child or self._started(seconds)
        try:
            head, body = child.ask({"texts": list(texts)}, seconds)
        except TimeoutError:
            self._give_up()
            raise TimeoutError(
                f"TensorFlow has not encoded {_texts(texts)} within timeout = {seconds:g} s; "
                "raise it, or set a smaller batch_size"
            ) from None
        except BaseException:
            self._give_up()  # after an interruption, too: its answer would be taken for the next
            raise
        if "refused" in head:
            self._give_up()
            raise self._refused(str(head["refused"]))
        return head, body

    def _started(self, seconds: float) -> Child:
        worker = str(Path(_use_worker.__file__))
        # Isolated (-I): neither PYTHONPATH nor the folder of the worker, our own, is searched.
        try:
            child = Child([self._python, "-I", worker, str(self._folder)])
        except OSError as error:
            raise EncoderError(
                f"python = {self._python!r} cannot be run ({error}); expected the interpreter of "
                'an environment with TensorFlow, such as ".venv-use/bin/python"'
            ) from error
        try:
            head, _ = child.receive(time.monotonic() + seconds)
        except DiedError as died:
            raise EncoderError(
                f"the process of TensorFlow for {self._folder} ended as it started: {died}"
            ) from None
        except TimeoutError:
            child.close()
            raise EncoderError(
                f"TensorFlow has not loaded {self._folder} within timeout = {seconds:g} s; raise "
                "timeout, or see what else this machine is doing"
            ) from None
        if "refused" in head:
            raise self._refused(str(head["refused"]))
        if digest_files(self._folder) != self._files:
            child.close()
            raise EncoderError(
                f"the files of {self._folder} have changed since they were digested; run again"
            )
        self._dim = int(head["dim"])
        return child

    def _refused(self, why: str) -> EncoderError:
        return EncoderError(f"the model in {self._folder} cannot be run: {why}")

    def _give_up(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


def _texts(texts: Sequence[str]) -> str:
    return "1 text" if len(texts) == 1 else f"{len(texts)} texts"
