"""Small saved models of TensorFlow, made by the interpreter of an environment that has it.

This file runs there, by its path. Each model is a deep averaging network over hashed words, in the
form of one published model: strings in, vectors out. What they give for some texts is written
beside them, computed before anything is saved.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = ("the mill ground the grain", "a cat", "", "stone", "na\u00efve \U0001f642\x00", "a " * 70)
BUCKETS, WIDTH, DIM, MANY = 512, 16, 24, 500


@cache
def made() -> Path:
    """The folder ``use`` among the weights of the tests, filled once a session.

    By the interpreter that ``VECMILL_USE_PYTHON`` names.
    """
    folder = Path(os.environ["VECMILL_TEST_WEIGHTS"]) / "use"
    folder.mkdir()
    command = [os.environ["VECMILL_USE_PYTHON"], "-I", __file__, str(folder), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    return folder


def main(folder: Path, texts: list[str]) -> None:
    """Fill a folder."""
    tf = importlib.import_module("tensorflow")
    rng = np.random.default_rng(7)
    words = rng.standard_normal((BUCKETS, WIDTH)).astype(np.float32)
    layer = rng.standard_normal((WIDTH, DIM)).astype(np.float32) / WIDTH**0.5
    kept = tf.Variable(words), tf.Variable(layer)

    def network(texts: Any) -> Any:  # noqa: ANN401 - tensors
        return _network(tf, texts, *kept)

    def strict(texts: Any) -> Any:  # noqa: ANN401 - tensors
        few = tf.debugging.assert_less(tf.strings.length(texts), MANY, "too many letters")
        with tf.control_dependencies([few]):
            return {"outputs": network(texts)}

    def weighted(texts: Any, weights: Any) -> Any:  # noqa: ANN401 - tensors
        return {"outputs": weights[:, None] * network(texts)}

    strings, floats = (tf.TensorSpec([None], kind) for kind in (tf.string, tf.float32))
    signatures = {
        "served": (lambda texts: {"outputs": network(texts), "n": tf.size(texts)}, [strings]),
        "several": (lambda texts: {"left": network(texts), "right": network(texts)}, [strings]),
        "strict": (strict, [strings]),
        "flat": (lambda texts: {"outputs": tf.strings.length(texts)}, [strings]),
        "weighted": (weighted, [strings, floats]),
    }
    for name, (function, inputs) in signatures.items():
        holder = tf.Module()
        holder.kept = kept
        signature = tf.function(function, input_signature=inputs)
        tf.saved_model.save(holder, str(folder / name), signatures=signature)
    called = tf.Module()
    called.kept = kept
    # As version 4 of the Universal Sentence Encoder: called with strings, a tensor back.
    called.__call__ = tf.function(network, input_signature=[strings])
    tf.saved_model.save(called, str(folder / "called"))
    np.save(folder / "expected.npy", network(tf.constant(texts)).numpy())
    _save_as_hub_1(tf, folder / "hub_1", words, layer)


def _network(tf: Any, texts: Any, words: Any, layer: Any) -> Any:  # noqa: ANN401 - tensors
    split = tf.strings.split(texts)
    ids = tf.strings.to_hash_bucket_fast(split.flat_values, BUCKETS)
    rows = tf.cast(tf.size(texts), tf.int64)
    summed = tf.math.unsorted_segment_sum(tf.gather(words, ids), split.value_rowids(), rows)
    lengths = tf.cast(split.row_lengths(), tf.float32)[:, None]
    return tf.tanh(tf.matmul(summed / tf.sqrt(tf.maximum(lengths, 1.0)), layer))


def _save_as_hub_1(tf: Any, folder: Path, words: Any, layer: Any) -> None:  # noqa: ANN401 - tensors
    """As versions 1 to 3 of the Universal Sentence Encoder: a graph without a tag."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.string, [None], "text")
        make = v1.get_variable
        kept = make("words", initializer=words), make("layer", initializer=layer)
        found = _network(tf, given, *kept)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"text": given}, {"default": found})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
