"""Networks of torchvision with fixed random weights, saved as real ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders.vision import NetworkEncoder, Params, build

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor, nn

SEED = 3
_OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"transform_input": True, "init_weights": False},
    "googlenet": {"transform_input": True, "init_weights": False},
}


def network(model: str, weights: Path | str, **changes: Any) -> NetworkEncoder:  # noqa: ANN401 - any parameter
    """The encoder of a network."""
    encoder = build(Params(model=model, weights=str(weights), **changes))
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def made(model: str, file: Path) -> nn.Module:
    """A network as torchvision builds it, with weights drawn from a seed and saved as float16."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    segments = model in models.list_models(module=models.segmentation)
    options = {"weights_backbone": None} if segments else _OPTIONS.get(model, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        module: nn.Module = models.get_model(model, weights=None, **options)
    module = module.half()
    save_file(module.state_dict(), file)
    return module.float().eval()


def pixels(model: str, images: Sequence[Image]) -> Tensor:
    """Images as torchvision's own transforms hand them to a model."""
    import torch
    from torchvision import models

    transforms = models.get_model_weights(model)["DEFAULT"].transforms()
    return torch.stack([transforms(image) for image in images])
