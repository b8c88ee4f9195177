"""Torchvision's classification networks: their weights, and the layer to read vectors from."""

from __future__ import annotations

import difflib
import pickle
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders._paths import as_path
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """A network with its weights, on the CPU, ready to infer.

    Attributes:
        module: in evaluation mode, float32.
        transforms: from a PIL image to the ``(3, height, width)`` pixels that it was trained on.
    """

    module: nn.Module
    transforms: Any


def load(name: str, weights: str | None, preset: str | None) -> Network:
    """Build a network of torchvision and give it its weights, never random ones.

    Args:
        name: as `torchvision.models.list_models` has it.
        weights: a name such as ``IMAGENET1K_V1``, or the path of a state dict; by default the
            weights that torchvision calls ``DEFAULT``.
        preset: whose transforms to use with a state dict of one's own; by default ``DEFAULT``'s.

    Raises:
        EncoderError: if there is no such network, or its weights are not to be had or do not fit.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "kmeans"])
        raise EncoderError(
            f"no vision model is called {name!r}; expected 'kmeans' or a classification model of "
            f"torchvision{_perhaps(near)}"
        )
    presets = models.get_model_weights(name)
    chosen = weights or "DEFAULT"
    if chosen in presets.__members__:
        if preset is not None:
            raise EncoderError(
                f"preset {preset!r} goes with weights from a file, got weights {chosen!r}, which "
                "bring their own; remove it"
            )
        entry = presets[chosen]
        return Network(_filled(name, _fetch(entry), chosen), entry.transforms())
    file = as_path(chosen)
    if file is None or not file.is_file():
        raise EncoderError(
            f"weights {chosen!r} of {name} are neither a file here nor known to torchvision; "
            f"expected one of {', '.join(presets.__members__)}, or the path of a .safetensors, "
            ".pth or .pt state dict: absolute, or in a configuration from the project folder"
        )
    wanted = preset or "DEFAULT"
    if wanted not in presets.__members__:
        raise EncoderError(
            f"preset {preset!r} of {name} is not known to torchvision; expected one of "
            f"{', '.join(presets.__members__)}"
        )
    return Network(_filled(name, _read(file), chosen), presets[wanted].transforms())


def _fetch(entry: Any) -> dict[str, Tensor]:  # noqa: ANN401 - a torchvision WeightsEnum member
    import torch

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state: dict[str, Tensor] = entry.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        file = entry.url.rpartition("/")[2]
        raise EncoderError(
            f"the weights {entry} are not at {cache / file} and could not be fetched from "
            f"{entry.url} ({error}); put that file there, or elsewhere and set weights = "
            f"\"path/to/{file}\", or use model = 'kmeans', which learns from your own images"
        ) from error
    return state


def _read(file: Path) -> dict[str, Tensor]:
    """A state dict; pickles are read as tensors alone, so that they cannot run code."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError) as error:
        # Without the message: torch's advises to load the file with its safety off.
        raise EncoderError(
            f"{file} cannot be read as weights ({type(error).__name__}); expected a .safetensors "
            "file, or what torch.save(model.state_dict(), ...) writes: tensors, no other objects"
        ) from error
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        keys = ", ".join(map(repr, list(state)[:3])) if isinstance(state, dict) else type(state)
        raise EncoderError(
            f"{file} holds {keys}, expected names of parameters and their tensors; save "
            "model.state_dict() alone"
        )
    return state


def _filled(name: str, state: Mapping[str, Tensor], origin: str) -> nn.Module:
    import torch
    from torchvision import models

    # torchvision's oldest DenseNet files write norm.1 for norm1.
    legacy = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
    state = {legacy.sub(r"\1", key): tensor for key, tensor in state.items()}
    with torch.random.fork_rng(devices=[]):  # the weights it draws at first are all replaced
        module: nn.Module = models.get_model(name, weights=None, **_options(name, state))
    expected = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    missing = [k for k in expected if k not in found and not k.endswith("num_batches_tracked")]
    unexpected = [key for key in found if key not in expected]
    other = [key for key in found if key in expected and found[key] != expected[key]]
    if missing or unexpected or other:
        complaints = [
            f"{len(names)} {what}, such as {names[0]!r}"
            for what, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        complaints += [f"{key!r} has shape {found[key]}, not {expected[key]}" for key in other[:1]]
        raise EncoderError(
            f"weights {origin!r} do not fit {name}: {'; '.join(complaints)}; give the state dict "
            "of that very model, names as in torchvision"
        )
    module.load_state_dict(state, strict=False)
    return module.eval().requires_grad_(requires_grad=False)


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, bool]:
    """What two old families need to be told.

    Their published weights want the input shifted, which torchvision switches on only when it
    fetches them itself; and files with and without the training heads are both about.
    """
    heads = {"inception_v3": "AuxLogits.", "googlenet": "aux1."}
    if name not in heads:
        return {}
    trained = any(key.startswith(heads[name]) for key in state)
    return {"transform_input": True, "init_weights": False, "aux_logits": trained}


@dataclass
class Tap:
    """Where a network is read: what goes into one module or comes out of it.

    Attributes:
        name: the module's name in the network.
        takes_input: whether the vectors are its input, or else its output.
    """

    name: str
    takes_input: bool
    # Threads that share the network each see what their own call gives.
    _seen: threading.local = field(default_factory=threading.local)

    @classmethod
    def fit(cls, module: nn.Module, layer: str | None, pixels: Tensor) -> Tap:
        """Choose the layer, by default the input of the last one that has a unit a class.

        Raises:
            EncoderError: if there is no such layer, or it does not give one vector an image.
        """
        names = {name for name, _ in module.named_modules() if name}
        if layer is not None and layer not in names:
            near = difflib.get_close_matches(layer, names)
            raise EncoderError(
                f"the model has no layer {layer!r}; expected a name from its named_modules()"
                f"{_perhaps(near)}"
            )
        name = layer or _classifier(module, pixels)
        tap = cls(name, takes_input=layer is None)
        part = module.get_submodule(name)
        if tap.takes_input:
            part.register_forward_pre_hook(lambda _module, inputs: tap._see(inputs[0]))
        else:
            part.register_forward_hook(lambda _module, _inputs, out: tap._see(out))
        return tap

    def read(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Run ``(n, 3, height, width)`` pixels and give what the layer saw: ``(n, dim)``.

        Maps are averaged over their places and tokens over their number.
        """
        import torch

        self._seen.values = []
        with torch.inference_mode():
            module(pixels)
        values, self._seen.values = self._seen.values, []
        if not values:
            raise EncoderError(
                f"layer {self.name!r} is not run when encoding; choose one on the way to the output"
            )
        return self._pool(values[-1], len(pixels))

    def _see(self, value: object) -> None:
        self._seen.values.append(value)

    def _pool(self, seen: object, images: int) -> Tensor:
        import torch

        if torch.is_tensor(seen) and len(seen) == images:
            if seen.ndim == 2:  # noqa: PLR2004 - vectors
                return seen
            if seen.ndim == 3:  # noqa: PLR2004 - tokens
                return seen.mean(1)
            if seen.ndim == 4:  # noqa: PLR2004 - maps
                # Swin and parts of ConvNeXt keep channels last; inputs here are square.
                last = seen.shape[1] == seen.shape[2] != seen.shape[3]
                return seen.mean((1, 2) if last else (2, 3))
        shape = tuple(seen.shape) if torch.is_tensor(seen) else type(seen).__name__
        raise EncoderError(
            f"layer {self.name!r} gives {shape} for {images} images, expected a vector, tokens or "
            "a map for each; choose the module around it"
        )


def _classifier(module: nn.Module, pixels: Tensor) -> str:
    """The last linear layer or convolution to run whose width is the number of classes."""
    import torch
    from torch import nn

    ran: list[tuple[str, int]] = []
    handles = [
        part.register_forward_hook(lambda _m, _i, out, name=name: ran.append((name, _width(out))))
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    with torch.inference_mode():
        classes = module(pixels).shape[-1]
    for handle in handles:
        handle.remove()
    return [name for name, width in ran if width == classes][-1]


def _width(output: Tensor) -> int:
    maps = 4
    return int(output.shape[1 if output.ndim == maps else -1])


def _perhaps(near: list[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
