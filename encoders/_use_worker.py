"""Runs a TensorFlow saved model for `encoders.use`, in a process and an environment of its own.

Started by path with the folder of a model, it needs TensorFlow, NumPy and nothing of Vecmill.
What comes and goes are messages: the lengths of head and body (``<IQ``), a head in JSON, a body of
bytes. First it says ``{"dim": 512}``, or ``{"refused": "why"}`` and ends. Then it answers each
``{"texts": [...]}`` by ``{"shape": [n, dim]}`` with float32 behind it, or by
``{"failed": "why", "memory": false}``.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import struct
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LENGTHS = struct.Struct("<IQ")
MAJOR = "2"
_OUTPUTS = ("outputs", "default", "output_0")


class RefusedError(Exception):
    """The model cannot be run here; the message says why, and what to do."""


def main(folder: str) -> None:
    """Answer until the other side closes its end or dies."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get into the messages
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(folder, requests, out), daemon=True).start()
    # This thread does nothing else, so that the end is noticed amid a long computation too.
    while (request := _received(sys.stdin.buffer)) is not None:
        requests.put(request)
    os._exit(0)


def _serve(folder: str, requests: queue.SimpleQueue[dict[str, Any]], out: BinaryIO) -> None:
    try:
        embed = _loaded(folder)
        _send(out, {"dim": embed(["width"]).shape[1]})
        while True:
            _answer(embed, requests.get()["texts"], out)
    except RefusedError as refused:
        _send(out, {"refused": str(refused)})
    except BaseException:  # noqa: BLE001 - told where the other side looks for it
        traceback.print_exc()
    os._exit(1)


def _answer(embed: Callable[[list[str]], NDArray[np.float32]], texts: Any, out: BinaryIO) -> None:  # noqa: ANN401 - from JSON
    try:
        vectors = embed(texts)
    except MemoryError as error:
        _send(out, {"failed": str(error), "memory": True})
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - TensorFlow has dozens of kinds
        exhausted = type(error).__name__ == "ResourceExhaustedError"
        _send(out, {"failed": f"{type(error).__name__}: {error}"[:2000], "memory": exhausted})
    else:
        _send(out, {"shape": list(vectors.shape)}, vectors.tobytes())


def _loaded(folder: str) -> Callable[[list[str]], NDArray[np.float32]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tf = importlib.import_module("tensorflow")
    except ImportError as error:
        raise RefusedError(
            f"TensorFlow cannot be imported by {sys.executable} ({error}); install it there: "
            f"uv pip install --python {sys.executable} 'tensorflow-cpu>=2.20'"
        ) from error
    if tf.__version__.split(".")[0] != MAJOR:
        raise RefusedError(
            f"TensorFlow {tf.__version__} was found by {sys.executable}; expected version {MAJOR}"
        )
    with suppress(Exception):  # absent, or built for another TensorFlow: told if it is missed
        importlib.import_module("tensorflow_text")  # brings operations that some models need
    try:
        # Saved models of TensorFlow 1's hub have this file, and their graph has no tag.
        plain = os.path.exists(os.path.join(folder, "tfhub_module.pb"))  # noqa: PTH110, PTH118 - older Pythons run this too
        model = tf.saved_model.load(folder, tags=[] if plain else None)
    except Exception as error:
        raise RefusedError(_why_not_loaded(str(error), tf.__version__)) from error
    return _embedding(tf, model)


def _why_not_loaded(error: str, version: str) -> str:
    if "Op type not registered" not in error:
        return f"TensorFlow {version} cannot load it: {error[:1000]}"
    operation = error.partition("Op type not registered")[2].split(maxsplit=1)[0].strip("'")
    minor = ".".join(version.split(".")[:2])
    return (
        f"it needs the operation {operation}, which TensorFlow {version} does not have; most such "
        f"models need TensorFlow Text of the same version: uv pip install --python "
        f"{sys.executable} 'tensorflow-text=={minor}.*'"
    )


def _embedding(tf: Any, model: Any) -> Callable[[list[str]], NDArray[np.float32]]:  # noqa: ANN401 - of TensorFlow
    call = _function(tf, model)

    def embed(texts: list[str]) -> NDArray[np.float32]:
        # A lone surrogate, which some JSON holds, has no UTF-8.
        given = tf.constant([text.encode("utf-8", "replace") for text in texts])
        found = _chosen(call(given))
        vectors = np.ascontiguousarray(found.numpy(), dtype="<f4")
        if vectors.ndim != 2 or len(vectors) != len(texts):  # noqa: PLR2004 - a matrix
            raise RefusedError(
                f"it gives an array of shape {vectors.shape} for {len(texts)} texts; expected a "
                "vector each"
            )
        return vectors

    return embed


def _function(tf: Any, model: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - of TensorFlow
    if callable(model):
        found: Callable[[Any], Any] = model
        return found
    signatures = getattr(model, "signatures", {})
    for name in ("default", "serving_default"):
        if name not in signatures:
            continue
        inputs = signatures[name].structured_input_signature[1]
        if [spec.dtype for spec in inputs.values()] == [tf.string]:
            (key,) = inputs
            return lambda texts: signatures[name](**{key: texts})
    raise RefusedError(
        "it has no function from a batch of strings to vectors; expected one that can be called, "
        f"or a signature 'default' or 'serving_default' of one string tensor, found {[*signatures]}"
    )


def _chosen(found: Any) -> Any:  # noqa: ANN401 - of TensorFlow
    if not isinstance(found, dict):
        return found
    if len(found) == 1:
        return next(iter(found.values()))
    for name in _OUTPUTS:
        if name in found:
            return found[name]
    raise RefusedError(f"it has the outputs {sorted(found)}; expected one, or one called 'outputs'")


def _send(out: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    written = json.dumps(head).encode()
    out.write(LENGTHS.pack(len(written), len(body)) + written + body)
    out.flush()


def _received(stream: BinaryIO) -> dict[str, Any] | None:
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head = stream.read(LENGTHS.unpack(lengths)[0])
    request: dict[str, Any] = json.loads(head)
    return request


if __name__ == "__main__":
    main(sys.argv[1])
