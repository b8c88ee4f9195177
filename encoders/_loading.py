"""Loading with transformers: quietly, and never with weights that it made up."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Report(logging.Handler):
    """Keeps the messages of a logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def loading() -> Iterator[list[str]]:
    """Keep the loader's progress bars and chatter off the terminal; give what it reports."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging as hf_logging

    report = _Report()
    library = logging.getLogger("transformers")
    loader = logging.getLogger("transformers.modeling_utils")
    handlers, level, bars = library.handlers, loader.level, not are_progress_bars_disabled()
    library.handlers = [report]
    # A verbosity that the user has lowered must not hide that weights are missing.
    loader.setLevel(logging.WARNING)
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # the library's omission
    try:
        yield report.messages
    finally:
        library.handlers = handlers
        loader.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # as above


@contextmanager
def loading_checkpoint(
    folder: Path, name: str, parts: str, unused: str = "pooler"
) -> Iterator[None]:
    """Within, load a checkpoint of transformers: its errors become ours.

    Args:
        folder: that of the checkpoint.
        name: as the user called it.
        parts: what is loaded, such as "a model and its tokenizer".
        unused: see `refuse_made_up_weights`.

    Raises:
        EncoderError: if it is an adapter, is not whole, brings code, or lacks weights.
    """
    from safetensors import SafetensorError

    if (folder / "adapter_config.json").exists():
        raise EncoderError(
            f"{name!r} is an adapter to another model; merge the two and save the whole model "
            "(peft: merge_and_unload().save_pretrained(folder))"
        )
    with loading() as report:
        try:
            yield
        except UnpicklingError as error:
            # Without the message: torch's advises to load the file with its safety off.
            raise EncoderError(
                f"the pickled weights of {name!r} hold more than tensors, which may be code and is "
                "not loaded; get the model as safetensors"
            ) from error
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise EncoderError(
                f"transformers cannot load {name!r}: {error}; expected a folder or hub repository "
                f"that save_pretrained(...) of {parts} made, without code of its own"
            ) from error
    refuse_made_up_weights(report, name, unused)


def refuse_made_up_weights(report: list[str], model: str, unused: str = "pooler") -> None:
    """Refuse a model for which transformers drew at random what its file lacks.

    BERT's pooler may be missing: checkpoints of masked language models lack it, and we pool the
    tokens ourselves.

    Args:
        report: what `loading` gave.
        model: as the user called it.
        unused: part of the names of parameters that may be missing, since nothing reads them.

    Raises:
        EncoderError: if any other parameter is missing.
    """
    rows = [line.split("|") for message in report for line in message.splitlines()]
    missing = [row[0].strip() for row in rows if len(row) > 1 and "MISSING" in row[1]]
    missing = [name for name in missing if unused not in name]
    if missing:
        raise EncoderError(
            f"the weights of {model!r} lack {len(missing)} of the model's parameters, such as "
            f"{missing[0]!r}, which would be random; copy or download the whole model again"
        )
