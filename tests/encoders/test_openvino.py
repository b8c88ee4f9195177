"""Sentence models by OpenVINO: the values are torch's, and nobody is told of it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import _openvino, machine
from encoders.base import EncoderError, EncoderUsageError
from encoders.sentence import Params, SentenceEncoder, build, recipe
from tests import processes
from tests.encoders import samples

if TYPE_CHECKING:
    from pathlib import Path

needed = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(scope="module")
def tiny(weights: Path) -> str:
    return str(weights / "sentence-tiny")


@pytest.fixture(scope="module")
def compiled(tiny: str) -> SentenceEncoder:
    return build(Params(model=tiny, backend="openvino"))


@needed
def test_vectors_are_those_of_torch(tiny: str, compiled: SentenceEncoder) -> None:
    texts = samples.usual("text")
    found, expected = compiled.encode(texts), build(Params(model=tiny)).encode(texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sys.modules.get("openvino_telemetry") is None, "it reports its use to others"


@needed
def test_a_vector_is_the_same_whatever_is_beside_it(compiled: SentenceEncoder) -> None:
    texts = samples.usual("text")
    together = compiled.encode(texts)
    alone = np.concatenate([compiled.encode([text]) for text in texts])
    np.testing.assert_array_equal(alone, together)


@needed
def test_threads_decide_nothing_but_how_long_it_takes(compiled: SentenceEncoder) -> None:
    usual = machine.threads()
    texts = samples.usual("text")
    before = compiled.encode(texts)
    try:
        machine.set_threads(usual + 1)
        np.testing.assert_allclose(compiled.encode(texts), before, atol=1e-6)
    finally:
        machine.set_threads(usual)


@needed
def test_it_is_part_of_the_fingerprint(tiny: str) -> None:
    said = recipe(Params(model=tiny, backend="openvino"))
    assert said == build(Params(model=tiny, backend="openvino")).recipe()
    assert said["backend"] == {"name": "openvino", "code": _openvino.REVISION}
    assert "backend" not in recipe(Params(model=tiny))


@needed
def test_a_model_that_is_looked_up_in_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(
        '[{"type": "sentence_transformers.models.StaticEmbedding", "path": ""}]'
    )
    params = Params(model=str(tmp_path), backend="openvino")
    with pytest.raises(EncoderUsageError, match=r"for models of one transformer"):
        build(params)


@pytest.mark.skipif(find_spec("openvino") is not None, reason="openvino is installed")
def test_where_it_is_not_installed_that_is_said(tiny: str) -> None:
    with pytest.raises(EncoderError, match=r"pip install 'vecmill\[openvino\]'"):
        build(Params(model=tiny, backend="openvino"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"backend": "onnx"}, r"backend must be 'torch' or 'openvino', got 'onnx'"),
        ({"backend": "openvino", "dtype": "float16"}, r"float32 or bfloat16, got dtype"),
    ],
)
def test_what_it_cannot_do_is_refused(tiny: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderUsageError, match=message):
        build(Params(model=tiny, **asked))


_TWICE = """
import gc, signal, sys
from encoders.sentence import Params, build

first, second = (build(Params(model=sys.argv[1], backend="openvino")) for _ in range(2))
first.encode(["one"]), second.encode(["one"])
del first
gc.collect()
del second
gc.collect()
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
signal.raise_signal(signal.SIGTERM)
print(heard)
"""


@needed
def test_signals_are_heard_after_several_models_of_one_process(tiny: str) -> None:
    """With a core for each model the process ended by SIGSEGV, without a word."""
    process = processes.python(_TWICE, tiny)
    said, complaint = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "[True]\n"), complaint
