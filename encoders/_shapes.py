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

from encoders._device import moved
from encoders._features import by_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders._features import Features

REVISION = 2
"""Raised whenever the shapes change; part of recipes."""

_STEP = 8
"""Tokens by which lengths differ. Of news items 6 % of all tokens are padding then; a step of 16,
as before revision 2, made it 12 %."""

_ROWS = {"cpu": 8, "cuda": 64}


def embed(
    model: Any,  # noqa: ANN401 - the library ships no types
    texts: Sequence[str],
    prompt: str,
    tokens: Sequence[Sequence[int]],
    features: Features | None,
) -> NDArray[np.float32]:
    """Encode texts in fixed shapes.

    Args:
        model: a `SentenceTransformer` of one transformer and what follows it.
        texts: at least one.
        prompt: put before each.
        tokens: of each, prompt and special ones counted, none cut off.
        features: what makes the model's input of tokens; None for the model's own preprocessing.

    Returns:
        ``(n, width)`` float32, as the model's modules leave them.
    """
    import torch

    rows = _ROWS.get(model.device.type, _ROWS["cpu"])
    limit = int(model.max_seq_length)
    lengths = [min(-(-len(own) // _STEP) * _STEP, limit) for own in tokens]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    found: dict[int, NDArray[np.float32]] = {}
    for length, group in groupby(order, lengths.__getitem__):
        same = list(group)
        for start in range(0, len(same), rows):
            part = same[start : start + rows]
            filled = part + part[:1] * (rows - len(part))
            given = (
                by_library(model, [texts[at] for at in filled], prompt, length)
                if features is None
                else features.made([tokens[at] for at in filled], length)
            )
            with torch.inference_mode():
                on = moved(given, str(model.device))
                vectors = model(on)["sentence_embedding"].float().cpu().numpy()
            found.update(zip(part, vectors, strict=False))
    return np.stack([found[at] for at in range(len(texts))])
