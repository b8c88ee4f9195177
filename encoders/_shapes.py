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

from encoders import _streams
from encoders._features import by_library, vectors

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
    *,
    streams: bool = False,
) -> NDArray[np.float32]:
    """Encode texts in fixed shapes.

    Args:
        model: a `SentenceTransformer` of one transformer and what follows it.
        texts: at least one.
        prompt: put before each.
        tokens: of each, prompt and special ones counted, none cut off.
        features: what makes the model's input of tokens; None for the model's own preprocessing.
        streams: whether several threads may call the model at once.

    Returns:
        ``(n, width)`` float32, as the model's modules leave them.
    """
    rows = _ROWS.get(model.device.type, _ROWS["cpu"])
    limit = int(model.max_seq_length)
    lengths = [min(-(-len(own) // _STEP) * _STEP, limit) for own in tokens]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    cut: list[tuple[int, list[int]]] = []
    for length, group in groupby(order, lengths.__getitem__):
        same = list(group)
        cut += [(length, same[start : start + rows]) for start in range(0, len(same), rows)]

    def read(one: tuple[int, list[int]]) -> NDArray[np.float32]:
        length, part = one
        filled = part + part[:1] * (rows - len(part))
        given = (
            by_library(model, [texts[at] for at in filled], prompt, length)
            if features is None
            else features.made([tokens[at] for at in filled], length)
        )
        return vectors(model, given)[: len(part)]

    # The longest first, so that what the others need is in memory already.
    cut.reverse()
    # The library's tokenizer takes one caller at a time.
    device = model.device.type if streams and features is not None else None
    found = np.concatenate(_streams.mapped(read, cut, device))
    rows_of = np.empty_like(found)
    rows_of[[at for _, part in cut for at in part]] = found
    return rows_of
