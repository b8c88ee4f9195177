"""The same records kept embedded by Vecmill and by what one would pick instead, side by side.

``python -m tests.bench.others [tool …] [--records N] [--turns N] [--json FILE]`` takes each tool
through three steps, every one a process of its own that starts from nothing: **cold**, an empty
store; **again**, nothing changed; **changed**, one record in a hundred edited, added or deleted.
All of them encode the same news with the same all-MiniLM-L6-v2 weights, in float32, on one thread.

Each tool has a module here, ``with_NAME``, which says what of its documentation it follows, and an
environment of its own, made by ``uv`` from ``NAME.txt``. This package is imported there as well:
it needs nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(words: Sequence[str] = ()) -> int:
    """Measure, and print the tables; 1 where a tool's vectors are not those of the model."""
    from tests.bench.others import _bench

    return _bench.main(words)
