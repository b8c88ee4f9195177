"""Short types whose rows hang on nothing but their own text.

In bfloat16 the last digit of a matrix product depends on how it is split up, which libraries
choose by the shapes of the matrices. So all shapes are fixed here: a text is padded to a length
that follows from its own, and always runs among as many rows, fillers where there are too few.
Measured on a CPU with AMX: rows are equal bit by bit whatever is beside them, and were up to
0.002 apart without this.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REVISION = 1
"""Raised whenever the shapes change; part of recipes."""

_STEP = 16
"""Tokens by which lengths differ: few enough shapes, and little padding."""

_ROWS = {"cpu": 8, "cuda": 64}


def embed(
    model: Any,  # noqa: ANN401 - the library ships no types
    texts: Sequence[str],
    prompt: str,
    tokens: Sequence[int],
) -> NDArray[np.float32]:
    """Encode texts in fixed shapes.

    Args:
        model: a `SentenceTransformer` of one transformer and what follows it.
        texts: at least one.
        prompt: put before each.
        tokens: how many each has, prompt and special ones counted.

    Returns:
        ``(n, width)`` float32, as the model's modules leave them.
    """
    import torch

    rows = _ROWS.get(model.device.type, _ROWS["cpu"])
    limit = int(model.max_seq_length)
    lengths = [min(-(-count // _STEP) * _STEP, limit) for count in tokens]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    found: dict[int, NDArray[np.float32]] = {}
    for length, group in groupby(order, lengths.__getitem__):
        same = list(group)
        for start in range(0, len(same), rows):
            part = same[start : start + rows]
            filled = [texts[at] for at in part] + [""] * (rows - len(part))
            padding = {"padding": "max_length", "max_length": length, "truncation": True}
            features = model.preprocess(filled, prompt=prompt, processing_kwargs={"text": padding})
            with torch.inference_mode():
                # A tensor stays on its device where it lies there already.
                given = {
                    name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                    for name, value in features.items()
                }
                vectors = model(given)["sentence_embedding"].float().cpu().numpy()
            found.update(zip(part, vectors, strict=False))
    return np.stack([found[at] for at in range(len(texts))])
