"""Where encoder kinds are found, and what each can tell before it is built.

A kind is a file of this package with the names that `encoders.base` lists. Here they are asked for
by the kind's name in the configuration, and recordings get their ``window`` (`encoders.windows`).
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from encoders.base import Encoder, Json, Modality, Splitter
    from encoders.windows import Window

_BUILDING = threading.Lock()


@cache
def kinds() -> tuple[str, ...]:
    """The encoder kinds, by file name."""
    import encoders

    names = (
        m.name
        for m in pkgutil.iter_modules(encoders.__path__)
        if m.name != "registry" and m.name[0] != "_"  # which has a ``build`` too
    )
    return tuple(sorted(name for name in names if hasattr(_module(name), "build")))


def _module(kind: str) -> Any:  # noqa: ANN401 - a module with the three names of every kind
    return importlib.import_module(f"encoders.{kind}")


def params_type(kind: str) -> type[Any]:
    """The dataclass of the keys that this kind takes; one of recordings takes ``window`` as well.

    See `encoders.windows.Window`.
    """
    from encoders import _windowed

    own = _module(kind).Params
    return cast("type[Any]", _windowed.with_window(own) if _hears(kind) else own)


def _hears(kind: str) -> bool:
    """Whether a kind reads recordings, or can be told to."""
    return "audio" in _reads(kind)


def _parted(kind: str, params: object) -> tuple[Any, Window | None]:
    """The parameters as the kind defines them, and the window that `params_type` has beside.

    Raises:
        EncoderUsageError: if there is a window for what is no recording.
    """
    from encoders import _windowed

    own, found = _windowed.parted(_module(kind).Params, params)
    if found is not None and modality(kind, own) != "audio":
        raise EncoderUsageError(
            f"window cuts recordings, and this encoder of kind {kind!r} reads "
            f"{modality(kind, own)}; take window out"
        )
    return own, found


def needed(kind: str) -> tuple[str, ...]:
    """The names of this kind's parameters that have no default."""
    return tuple(
        field.name
        for field in fields(_module(kind).Params)
        if field.default is MISSING and field.default_factory is MISSING
    )


def paths(kind: str) -> tuple[str, ...]:
    """The names of this kind's parameters that may be paths."""
    return tuple(getattr(_module(kind), "PATHS", ()))


def modality(kind: str, params: object) -> Modality:
    """What records an encoder of this kind reads, by its parameters where they decide."""
    module = _module(kind)
    found = module.MODALITY if hasattr(module, "MODALITY") else module.modality(params)
    return cast("Modality", found)


def quick_recipe(kind: str, params: object) -> dict[str, Json] | None:
    """The encoder's recipe, where its kind can tell it without loading weights; None elsewhere."""
    from encoders import _windowed

    recipe = getattr(_module(kind), "recipe", None)
    if recipe is None:
        return None
    own, found = _parted(kind, params)
    given = cast("dict[str, Json]", recipe(own))
    return given if found is None else _windowed.recipe_with(given, found)


def price(kind: str, params: object, batch: Any) -> tuple[float, str] | None:  # noqa: ANN401 - as in Encoder.encode
    """What encoding a batch costs, and in which currency; None for kinds that cost nothing."""
    estimate = getattr(_module(kind), "price", None)
    return None if estimate is None else cast("tuple[float, str] | None", estimate(params, batch))


def nested(kind: str) -> bool:
    """Whether the first k dimensions of this kind are what it gives for ``dim = k``."""
    return bool(getattr(_module(kind), "NESTED", False))


def coded(kind: str) -> bool:
    """Whether encoders of this kind tell by which codes their vectors can be written down."""
    return bool(getattr(_module(kind), "CODED", False))


def reading(modality: Modality) -> tuple[str, ...]:
    """The kinds that read records of this modality, or can be told to."""
    return tuple(kind for kind in kinds() if modality in _reads(kind))


def _reads(kind: str) -> tuple[str, ...]:
    """What a kind reads, or can be told to."""
    module = _module(kind)
    return tuple(getattr(module, "READS", (getattr(module, "MODALITY", ""),)))


def splitter(kind: str, params: object) -> Splitter | None:
    """How texts are cut before they are encoded; None where they are encoded whole."""
    make = getattr(_module(kind), "splitter", None)
    return None if make is None else cast("Splitter | None", make(params))


def window(kind: str, params: object) -> Window | None:
    """How recordings are cut; None where they are encoded whole, and for all that is no recording.

    With ``pool`` the encoder cuts them itself, and makes one vector of each.
    """
    return _parted(kind, params)[1] if _hears(kind) else None


def build(kind: str, params: object) -> Encoder:
    """Build an encoder; may take seconds, since weights are loaded and checked.

    Threads take turns: loaders switch loggers and the random state of the whole process.
    """
    from encoders import _windowed

    own, found = _parted(kind, params)
    with _BUILDING:
        encoder = cast("Encoder", _module(kind).build(own))
    if found is None:
        return encoder
    return _windowed.windowed(encoder, found, normalize=bool(getattr(own, "normalize", False)))
