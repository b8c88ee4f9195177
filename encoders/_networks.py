"""Torchvision's networks: which there are, and their weights."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders._fetched import check_digest, fetched, is_address, shown, verified
from encoders._nearest import perhaps
from encoders._paths import as_path
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """A network with its weights, on the CPU, ready to infer.

    Attributes:
        module: in evaluation mode, float32.
        transforms: from a PIL image to the ``(3, height, width)`` pixels that it was trained on.
        cropped: whether these are of one size, whatever the image; else of the image's own shape.
    """

    module: nn.Module
    transforms: Any
    cropped: bool


def load(name: str, weights: str | None, preset: str | None, digest: str | None = None) -> Network:
    """Build a network of torchvision and give it its weights, never random ones.

    Args:
        name: as `torchvision.models.list_models` has it.
        weights: a name such as ``IMAGENET1K_V1``, the path of a state dict, or the address of one;
            by default the weights that torchvision calls ``DEFAULT``.
        preset: whose transforms to use with a state dict of one's own; by default ``DEFAULT``'s.
        digest: SHA-256 of the state dict's file; has to be given with an address.

    Raises:
        EncoderError: if there is no such network, or its weights are not to be had or do not fit.
    """
    from torchvision import models

    segments = _check_name(name)
    presets = models.get_model_weights(name)
    chosen = weights or "DEFAULT"
    if chosen in presets.__members__:
        for key, value in (("preset", preset), ("weights_sha256", digest)):
            if value is not None:
                raise EncoderUsageError(
                    f"{key} {value!r} goes with weights from a file, got weights {chosen!r}, which "
                    "bring their own; remove it"
                )
        entry = presets[chosen]
        state, origin = _fetch(entry), chosen
    else:
        entry = _preset(name, preset, presets)
        file = _file(name, chosen, digest, presets)
        state, origin = _read(file), shown(chosen) if is_address(chosen) else chosen
        _check_finite(state, file)
    return Network(_filled(name, state, origin), entry.transforms(), cropped=not segments)


def _check_name(name: str) -> bool:
    """Whether a network segments images, or else classifies them; any other is refused."""
    from torchvision import models

    classify = models.list_models(module=models)
    segment = models.list_models(module=models.segmentation)
    if name in {*classify, *segment}:
        return name in segment
    for what in ("detection", "video", "optical_flow", "quantization"):
        if name in models.list_models(module=getattr(models, what)):
            raise EncoderUsageError(
                f"{name!r} is a model of torchvision.models.{what}, which gives no one vector an "
                "image; expected a classification or segmentation model, such as the network "
                "that it is built on"
            )
    known = [*classify, *segment, "kmeans"]
    raise EncoderUsageError(
        f"no vision model is called {name!r}; expected 'kmeans' or a classification or "
        f"segmentation model of torchvision{perhaps(name, known)}"
    )


def _preset(name: str, preset: str | None, presets: Any) -> Any:  # noqa: ANN401 - a WeightsEnum and its member
    wanted = preset or "DEFAULT"
    if wanted not in presets.__members__:
        raise EncoderUsageError(
            f"preset {preset!r} of {name} is not known to torchvision; expected one of "
            f"{', '.join(presets.__members__)}"
        )
    return presets[wanted]


def _file(name: str, weights: str, digest: str | None, presets: Any) -> Path:  # noqa: ANN401 - a WeightsEnum
    """The file that weights name, proved where its digest is given."""
    if is_address(weights):
        return fetched(weights, digest)
    file = as_path(weights)
    if file is None or not file.is_file():
        raise EncoderUsageError(
            f"weights {weights!r} of {name} are neither a file here nor known to torchvision; "
            f"expected one of {', '.join(presets.__members__)}, the path of a .safetensors, "
            ".pth or .pt state dict (absolute, or in a configuration from the project folder), or "
            "its https:// address"
        )
    if digest is None:
        return file
    check_digest(digest)
    return verified(file, digest)


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


def _check_finite(state: Mapping[str, Tensor], file: Path) -> None:
    broken = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise EncoderError(
            f"tensor {broken[0]!r} of {file} holds NaN or infinity: the file is damaged, or its "
            "training diverged; get it again"
        )


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
    # safetensors keep no versions of modules, without which MNASNet and old batch norms refuse or
    # misread; what has today's names and shapes is today's.
    current = module.state_dict()
    current.update(state)
    module.load_state_dict(current)
    return module.eval().requires_grad_(requires_grad=False)


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What some families need to be told.

    The published weights of the two oldest want the input shifted, which torchvision switches on
    only when it fetches them itself; and files with and without the training heads are both about.
    Segmentation models would fetch the weights of their backbone, to be replaced at once.
    """
    from torchvision import models

    if name in models.list_models(module=models.segmentation):
        trained = any(key.startswith("aux_classifier.") for key in state)
        aux = {} if name.startswith("lraspp") else {"aux_loss": trained}
        return {"weights_backbone": None, **aux}
    heads = {"inception_v3": "AuxLogits.", "googlenet": "aux1."}
    if name not in heads:
        return {}
    trained = any(key.startswith(heads[name]) for key in state)
    return {"transform_input": True, "init_weights": False, "aux_logits": trained}
