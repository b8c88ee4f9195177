"""Loading sentence-transformers models, and what their folders say before they are loaded."""

from __future__ import annotations

import json
import math
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from encoders._device import pick_device
from encoders._hub import is_table
from encoders._loading import loading, refuse_made_up_weights
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from pathlib import Path


def is_static(folder: Path) -> bool:
    """Whether a model looks its tokens up in a table and no more."""
    return _first_type(folder) == "StaticEmbedding" or is_table(folder)


def is_routed(folder: Path) -> bool:
    """Whether a model sends documents and queries through modules of their own."""
    return _first_type(folder) in {"Router", "Asym"}


def _first_type(folder: Path) -> str | None:
    file = folder / "modules.json"
    modules = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return str(modules[0].get("type")).rpartition(".")[2] if modules else None


def load(folder: Path, name: str, dtype: str, device: str, trusted: bool) -> Any:  # noqa: ANN401, FBT001 - the library ships no types
    """A `SentenceTransformer` in evaluation mode.

    Args:
        folder: of its files.
        name: as the user called it, for errors.
        dtype: a torch type's name.
        device: as `encoders._device.pick_device` takes it.
        trusted: whether its own code may be run.

    Raises:
        EncoderError: if it cannot be loaded, or reads other things than texts.
    """
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    table = is_table(folder)
    with loading() as report:
        try:
            model = SentenceTransformer(
                None if table else str(folder),
                modules=_table_modules(folder) if table else None,
                device=pick_device(device),
                local_files_only=True,
                trust_remote_code=trusted,
                model_kwargs={"dtype": getattr(torch, dtype)},
            )
        except UnpicklingError as error:
            # Without the message: torch's advises to load the file with its safety off.
            raise EncoderError(
                f"the pickled weights of {name!r} hold more than tensors, which may be "
                "code and is not loaded; get the model as safetensors"
            ) from error
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise EncoderError(
                f"sentence-transformers cannot load {name!r}: {error}; expected a folder "
                "or hub repository that SentenceTransformer(...).save made, without code of its own"
            ) from error
    refuse_made_up_weights(report, name)
    if model.modalities != ["text"]:
        # Such a model opens a text that looks like a path or an address as the file behind it.
        raise EncoderError(
            f"{name!r} reads {model.modalities}; expected a model that reads text alone"
        )
    for module in list(model)[1:]:
        module.to(getattr(torch, dtype))
    return model.eval()


def _table_modules(folder: Path) -> list[Any]:
    """The modules of a model2vec folder that does not name them."""
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    unit = [Normalize()] if config.get("normalize") else []
    return [StaticEmbedding.load(str(folder), local_files_only=True), *unit]


def set_max_tokens(model: Any, wanted: int | None, name: str) -> None:  # noqa: ANN401 - as `load`
    """Cut texts after so many tokens; None for what the model itself says.

    Raises:
        EncoderUsageError: if the model has no positions for so many, or no limit at all.
    """
    if wanted is None:
        return
    if model.max_seq_length in {None, math.inf}:
        raise EncoderUsageError(
            f"max_tokens = {wanted} was given, but {name!r} reads texts of any length; remove it"
        )
    least = model.tokenizer.num_special_tokens_to_add() + 1
    most = _positions(model)
    if wanted < least or (most is not None and wanted > most):
        raise EncoderUsageError(
            f"max_tokens must be from {least} to {most or 'any number'} for {name!r}, got {wanted}"
        )
    model.max_seq_length = wanted


def _positions(model: Any) -> int | None:  # noqa: ANN401 - as `load`
    """How many tokens the model has positions for; None where it computes them."""
    config = getattr(model.transformers_model, "config", None)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return None
    # RoBERTa and its heirs count positions from padding_idx + 1.
    return int(positions) - int(model[0]._infer_flatten_position_offset())  # noqa: SLF001 - nowhere else to be had
