"""Drawings of coloured shapes, their captions, and a tiny CLIP that has learned to tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from encoders._pixels import Pixels
from tests.encoders.bridges import SIDE, save_clip

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220),
           "yellow": (230, 210, 50)}  # fmt: skip
FIGURES = ("square", "circle", "cross")
CAPTIONS = tuple(f"{colour} {figure}" for colour in COLOURS for figure in FIGURES)

_STEPS = 180


def draw(caption: str, rng: np.random.Generator) -> Image.Image:
    """A shape somewhere on a dark, noisy ground."""
    colour, figure = caption.split()
    ground = rng.integers(0, 50, (SIDE, SIDE, 3), dtype=np.uint8)
    image = Image.fromarray(ground)
    pen = ImageDraw.Draw(image)
    size = int(rng.integers(14, 20))
    x, y = (int(n) for n in rng.integers(2, SIDE - size - 2, 2))
    shade = tuple(int(n) for n in np.clip(np.array(COLOURS[colour]) + rng.integers(-15, 16, 3),
                                          0, 255))  # fmt: skip
    box = (x, y, x + size, y + size)
    if figure == "square":
        pen.rectangle(box, fill=shade)
    elif figure == "circle":
        pen.ellipse(box, outline=shade, width=3)
    else:
        pen.line((x, y, x + size, y + size), fill=shade, width=3)
        pen.line((x + size, y, x, y + size), fill=shade, width=3)
    return image


def save_trained(folder: Path) -> None:
    """A CLIP of the published format, trained from drawn weights with CLIP's own loss.

    Each step sees every caption once, with a drawing that was not there before.
    """
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    words = [*COLOURS, *FIGURES, "a", "drawing", "of"]
    save_clip(folder, words)
    model = CLIPModel.from_pretrained(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    pixels = Pixels(folder, "shapes")
    rng = np.random.default_rng(0)
    given = tokenizer([f"a drawing of a {c}" for c in CAPTIONS], padding=True, return_tensors="pt")
    plain = tokenizer(list(CAPTIONS), padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.train()
        for step in range(_STEPS):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (1 - step / _STEPS)
            drawn = [draw(caption, rng) for caption in CAPTIONS]
            seen = pixels.of(drawn)
            texts = given if step % 2 else plain
            loss = model(**texts, pixel_values=seen, return_loss=True).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
