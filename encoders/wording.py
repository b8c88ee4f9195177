"""Words around a text, such as ``a photo of a {}.``: what models of captions were trained to read.

Radford et al. 2021 (section 3.1.4) found that a bare label is seldom what stands below a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACE = "{}"
"""Where the text goes."""


def check_wording(name: str, wording: str) -> None:
    """Refuse words without a place for the text, or with several.

    Raises:
        ValueError: names the place.
    """
    if wording.count(PLACE) != 1:
        raise ValueError(
            f"{name} must hold {PLACE} once, where the text goes, such as 'a photo of a {PLACE}.'; "
            f"got {wording!r}"
        )


def worded(wording: str, texts: Sequence[str]) -> list[str]:
    """Each text within the words; braces of its own stay as they are."""
    before, _, after = wording.partition(PLACE)
    return [f"{before}{text}{after}" for text in texts]
