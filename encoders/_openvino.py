"""A sentence model's transformer computed by OpenVINO, from the weights that torch has loaded.

The model is traced by torch and converted in this process, so that no hub and no exported file is
needed; that takes some seconds each time. OpenVINO reports imports and conversions to Google
Analytics by its package openvino_telemetry, unless that cannot be imported: here it cannot. On one
core of a Zen 5 MiniLM took 0.43 of torch's time in float32, and 0.6 of it in bfloat16.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders._device import pick_device
from encoders._loading import loading
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

REVISION = 1
"""To be raised with any change of this file that changes vectors; part of recipes."""

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_REPORTS = "openvino_telemetry"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TRACED, _TRIED = (2, 16), (3, 24)
"""Texts and tokens: what is traced, and another shape that the result is tried on."""

_SLACK = {"f32": 1e-3, "bf16": 0.1}
"""How far it may be off torch's float32 by rounding, as a share of the largest entry."""


def check(backend: str, dtype: str, device: str) -> None:
    """Refuse what cannot be computed so here.

    Args:
        backend: ``torch`` or ``openvino``.
        dtype: what the model computes in, resolved.
        device: as `encoders._device.pick_device` takes it.

    Raises:
        EncoderUsageError: if the backend is not known, or has no such type or device.
        EncoderError: if its package is not installed.
    """
    if backend not in {"torch", "openvino"}:
        raise EncoderUsageError(f"backend must be 'torch' or 'openvino', got {backend!r}")
    if backend == "torch":
        return
    if dtype not in _HINTS:
        raise EncoderUsageError(
            f"backend = 'openvino' computes in float32 or bfloat16, got dtype = {dtype!r}"
        )
    if pick_device(device) != "cpu":
        raise EncoderUsageError(
            f"backend = 'openvino' computes on the processor, got device = {device!r}, which is "
            f"{pick_device(device)!r} here; set device = 'cpu'"
        )
    if not installed():
        raise EncoderError(
            "backend = 'openvino' needs the package openvino, which is not installed: "
            "pip install 'vecmill[openvino]', or leave backend out"
        )


def installed() -> bool:
    """Whether there is an OpenVINO to compute with."""
    return find_spec("openvino") is not None


def replace(model: Any, dtype: str, name: str) -> None:  # noqa: ANN401 - the library ships no types
    """Have OpenVINO compute what the transformer of a sentence model gives for each token.

    Args:
        model: a `SentenceTransformer` on the CPU, in float32.
        dtype: what OpenVINO is to compute in.
        name: as the user called the model, for errors.

    Raises:
        EncoderError: if it cannot be converted, or gives other values than torch does.
    """
    transformer: Any = getattr(model[0], "model", None)
    known = () if transformer is None else inspect.signature(transformer.forward).parameters
    names = [key for key in _INPUTS if key in known]
    if transformer is None or names[:2] != list(_INPUTS[:2]):
        raise EncoderError(
            f"{name!r} has no transformer that takes tokens and a mask, which is what is converted "
            "for backend = 'openvino'; leave backend out"
        )
    try:
        graph = _converted(transformer, names)
    except Exception as error:  # tracing and conversion raise whatever the model's own code does
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"OpenVINO cannot convert {name!r} ({reason}); leave backend out"
        ) from error
    compiled = Compiled(graph, names, _HINTS[dtype])
    _refuse_other(transformer, compiled, name)
    transformer.forward = compiled.forward


class Compiled:
    """A graph that is compiled for as many threads as torch has, anew where that changes."""

    def __init__(self, graph: Any, names: list[str], hint: str) -> None:  # noqa: ANN401 - an openvino.Model
        self._graph, self.names, self.hint = graph, names, hint
        self._core = _core()
        self._threads = 0
        self._run: Any = None
        if hint == "bf16" and "BF16" not in self._core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise EncoderError(
                "dtype = 'bfloat16' was asked of backend = 'openvino', and this processor does not "
                "compute in it; set dtype = 'float32', or 'auto'"
            )

    def forward(self, **given: Any) -> Any:  # noqa: ANN401 - as transformers has it
        """What the transformer gives: its ``last_hidden_state``, ``(n, tokens, width)`` float32."""
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        found = self.tokens(*(given[name] for name in self.names if name in given))
        return BaseModelOutput(last_hidden_state=torch.from_numpy(found))

    def tokens(self, *given: torch.Tensor) -> NDArray[np.float32]:
        """The vectors of tokens; one call at a time."""
        import torch

        threads = torch.get_num_threads()
        if self._run is None or threads != self._threads:
            how = {
                "INFERENCE_PRECISION_HINT": self.hint,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
            }
            self._threads, self._run = threads, self._core.compile_model(self._graph, "CPU", how)
        found: NDArray[np.float32] = self._run([each.numpy() for each in given])[0]
        return found.copy()  # the next call writes over it


def _library() -> Any:  # noqa: ANN401 - a module that ships no types
    """The package, imported so that it reports nothing to anybody."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault(_REPORTS, None)  # type: ignore[arg-type] # how an import is refused
    return import_module("openvino")


@cache
def _core() -> Any:  # noqa: ANN401 - an openvino.Core
    """The only ``openvino.Core`` of this process, which stays until its end.

    Each has the thread that makes it handle signals on a stack of its own, and frees that at its
    end (OpenVINO's `SigAltStackSetup`, of its CPU plugin). Where the first of two ends first, the
    second gives back a stack that is gone, and the next signal, such as that a child has ended or
    Ctrl-C, ends the process without a word.
    """
    return _library().Core()


def _converted(transformer: Any, names: list[str]) -> Any:  # noqa: ANN401 - as above
    """An ``openvino.Model`` of a transformer, for any number of texts and tokens."""
    import torch

    _library()
    decoders = import_module("openvino.frontend.pytorch.ts_decoder")
    frontends = import_module("openvino.frontend")

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = transformer

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            named = dict(zip(names, given, strict=True))
            found: torch.Tensor = self.whole(**named, return_dict=True).last_hidden_state
            return found

    with loading(), warnings.catch_warnings(), torch.inference_mode():
        # That tracing is deprecated, and that it keeps what Python decides: that is tried below.
        warnings.simplefilter("ignore")
        decoder = decoders.TorchScriptPythonDecoder(
            Hidden().eval(), example_input=_probe(transformer, _TRACED, names)
        )
        frontend = frontends.FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


def _probe(transformer: Any, shape: tuple[int, int], names: list[str]) -> tuple[torch.Tensor, ...]:  # noqa: ANN401 - as above
    """Tokens of texts, the first of them half padding."""
    import torch

    texts, tokens = shape
    words = transformer.get_input_embeddings().num_embeddings
    ids = torch.arange(texts * tokens).reshape(shape) % words
    mask = torch.ones_like(ids)
    mask[0, tokens // 2 :] = 0
    return (ids, mask, torch.zeros_like(ids))[: len(names)]


def _refuse_other(transformer: Any, compiled: Compiled, name: str) -> None:  # noqa: ANN401 - as above
    """Hold the values of tokens that are no padding against torch's."""
    import torch

    given = _probe(transformer, _TRIED, compiled.names)
    with torch.inference_mode():
        named = dict(zip(compiled.names, given, strict=True))
        expected = transformer(**named, return_dict=True).last_hidden_state.numpy()
    real = given[1].numpy() > 0
    off = np.abs(compiled.tokens(*given) - expected)[real].max() / np.abs(expected[real]).max()
    if not off <= _SLACK[compiled.hint]:
        raise EncoderError(
            f"what OpenVINO computes of {name!r} is off torch's by {off:.2g} of the largest value; "
            "leave backend out"
        )
