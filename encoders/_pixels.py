"""Images to the pixels that a checkpoint of transformers wants, by its own preprocessor.

The library has two of each preprocessor: one by Pillow, as the models were trained with, and one
by torchvision, which resizes otherwise and whose results hang on its version and device. Here it is
Pillow's in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders._loading import loading_checkpoint
from encoders._pictures import check_rgb, middle
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from PIL.Image import Image


class Pixels:
    """The preprocessor of a checkpoint."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load it, and try it.

        Raises:
            EncoderError: if there is none, or the pixels that it gives differ in shape.
        """
        from transformers import AutoImageProcessor
        from transformers.image_processing_backends import PilBackend

        with loading_checkpoint(folder, name, "a model and its processor"):
            self._processor: Any = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call] # the library's omission
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
        if not isinstance(self._processor, PilBackend):
            raise EncoderError(
                f"the preprocessor of {name!r}, {type(self._processor).__name__}, has no form by "
                "Pillow in this version of transformers; choose another model"
            )
        # Only what cuts out the centre of an enlarged image can do with the middle of a long one.
        self._cuts = bool(getattr(self._processor, "do_center_crop", False))
        self._check(name)

    def of(self, images: Sequence[Image]) -> torch.Tensor:
        """The pixels of RGB images, ``(n, 3, height, width)`` float32, each by itself.

        Raises:
            EncoderError: if an image is not RGB.
        """
        import torch

        check_rgb(images)
        return torch.cat([self._one(image) for image in images])

    def _one(self, image: Image) -> torch.Tensor:
        seen = middle(image) if self._cuts else image
        pixels: torch.Tensor = self._processor(images=seen, return_tensors="pt")["pixel_values"]
        return pixels

    def _check(self, name: str) -> None:
        from PIL import Image

        shapes = [tuple(self._one(Image.new("RGB", side)).shape) for side in ((9, 30), (40, 20))]
        if shapes[0] != shapes[1] or len(shapes[0]) != len(("n", "channel", "height", "width")):
            raise EncoderError(
                f"the preprocessor of {name!r} gives pixels of shape {shapes[0]} for one image and "
                f"{shapes[1]} for another; expected one shape for all, as a crop or a resize to a "
                "square gives: choose a model with a fixed size"
            )
