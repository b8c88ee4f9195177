"""What encoders find on this machine, in words for `vecmill doctor`."""

from __future__ import annotations

from encoders import _hub, registry
from encoders._device import pick_device
from encoders._paths import as_path


def compute() -> str:
    """The device that encoders pick, and what it is."""
    import torch
    import torchvision

    pair = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if pick_device("auto") == "cuda":
        return f"{torch.cuda.get_device_name()} ({pair})"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"CPU, {torch.get_num_threads()} threads, {capability} ({pair})"


def text_model() -> str:
    """The default text model, its weights checked against their published digest.

    Raises:
        EncoderError: if they are missing or damaged.
    """
    _hub.locate(_hub.MINILM, None)
    return f"{_hub.MINILM}, sha256 {_hub.MINILM_SHA256[:12]}… as published"


def missing_files(kind: str, params: object) -> dict[str, str]:
    """The files and folders that parameters of a kind name and that are not there, by key."""
    values = {key: getattr(params, key, None) for key in registry.paths(kind)}
    paths = {key: as_path(value) for key, value in values.items() if isinstance(value, str)}
    return {key: str(path) for key, path in paths.items() if path and not path.exists()}
